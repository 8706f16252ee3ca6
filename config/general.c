#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/draft.h"
#include "policy/domain_map.h"

#define MIB_BYTES ((uint64_t)1 << 20)
#define TIB_BYTES ((uint64_t)1 << 40)

#define ROOT(field, kind, required)                                                                \
    {                                                                                              \
#field, kind, offsetof(struct config_root, field), required                                \
    }
#define SETTING(key, kind, field, ...)                                                             \
    {                                                                                              \
        key, kind, offsetof(struct config_settings, field), false, __VA_ARGS__                     \
    }

/* A word is stored as an int, also where the field is one of these. */
_Static_assert(sizeof(enum policy_ktls) == sizeof(int), "enum size");
_Static_assert(sizeof(enum config_tls_version) == sizeof(int), "enum size");
_Static_assert(sizeof(enum config_log_format) == sizeof(int), "enum size");

static const struct config_key root_keys[] = {
    { "hostname", CONFIG_KIND_TEXT, offsetof(struct config_root, hostname), true, 1 },
    { "workers", CONFIG_KIND_NUMBER, offsetof(struct config_root, workers), false, 0,
      CONFIG_WORKERS_MAX },
    ROOT(spool, CONFIG_KIND_GROUP, true),
    ROOT(certificates, CONFIG_KIND_GROUP, false),
    ROOT(tls, CONFIG_KIND_GROUP, false),
    ROOT(log, CONFIG_KIND_GROUP, false),
    ROOT(admin, CONFIG_KIND_GROUP, false),
    ROOT(session, CONFIG_KIND_GROUP, false),
    ROOT(shutdown, CONFIG_KIND_GROUP, false),
    ROOT(memory, CONFIG_KIND_GROUP, false),
    ROOT(listeners, CONFIG_KIND_LIST, true),
    ROOT(mail_flow_policies, CONFIG_KIND_GROUP, true),
    ROOT(hat, CONFIG_KIND_GROUP, true),
    ROOT(rat, CONFIG_KIND_GROUP, false),
    ROOT(destinations, CONFIG_KIND_GROUP, false),
    ROOT(routes, CONFIG_KIND_LIST, false),
    ROOT(bounce_profiles, CONFIG_KIND_GROUP, false),
    ROOT(address_lists, CONFIG_KIND_GROUP, false),
    ROOT(exception_table, CONFIG_KIND_LIST, false),
    ROOT(limits, CONFIG_KIND_GROUP, false),
    ROOT(dns, CONFIG_KIND_GROUP, false),
    ROOT(reputation, CONFIG_KIND_GROUP, false),
    ROOT(country, CONFIG_KIND_GROUP, false),
    ROOT(call_ahead, CONFIG_KIND_GROUP, false),
    ROOT(delivery, CONFIG_KIND_GROUP, false),
    ROOT(alerts, CONFIG_KIND_GROUP, false),
    ROOT(mta_sts, CONFIG_KIND_GROUP, false),
    ROOT(tls_reports, CONFIG_KIND_GROUP, false),
    ROOT(bounces, CONFIG_KIND_GROUP, false),
};

const char *const config_ktls_words[] = { "auto", "off", "tx", "both", NULL };
const char *const config_tls_version_words[] = { "1.2", "1.3", NULL };
static const char *const format_words[] = { "asyncos", "json", "cef", NULL };

static const struct config_key spool_keys[] = {
    { "path", CONFIG_KIND_PATH, offsetof(struct config_settings, spool_path), true, 1 },
    SETTING("max_size", CONFIG_KIND_SIZE, spool_max_bytes, 256 * MIB_BYTES, 1024 * TIB_BYTES),
    SETTING("min_free", CONFIG_KIND_SIZE, spool_free_bytes, 0, 1024 * TIB_BYTES),
};

/* Into the draft: a list is no setting yet. */
#define TLS(key, kind, field, ...)                                                                 \
    {                                                                                              \
        key, kind, offsetof(struct config_draft, field), false, __VA_ARGS__                        \
    }

static const struct config_key tls_keys[] = {
    TLS("ktls", CONFIG_KIND_WORD, settings.ktls, 0, 0, config_ktls_words),
    TLS("min_version", CONFIG_KIND_WORD, settings.tls_version_min, 0, 0, config_tls_version_words),
    TLS("ca_file", CONFIG_KIND_PATH, settings.tls_ca_path, 1),
    TLS("custom_ca_file", CONFIG_KIND_PATH, settings.tls_custom_ca_path, 1),
    TLS("client_ca_file", CONFIG_KIND_PATH, settings.tls_client_ca_path, 1),
    TLS("crl_files", CONFIG_KIND_STRINGS, crl_files, 0),
};

static const struct config_key log_keys[] = {
    SETTING("format", CONFIG_KIND_WORD, log_format, 0, 0, format_words),
    SETTING("file", CONFIG_KIND_TEXT, log_path, 1),
};

static const struct config_key admin_keys[] = {
    SETTING("socket", CONFIG_KIND_PATH, admin_socket_path, 1),
};

static const struct config_key session_keys[] = {
    SETTING("command_timeout", CONFIG_KIND_DURATION, command_timeout_s, 1, 3600),
    SETTING("data_timeout", CONFIG_KIND_DURATION, data_timeout_s, 1, 3600),
    SETTING("max_time", CONFIG_KIND_DURATION, session_max_s, 10, 7 * 86400),
    SETTING("max_errors", CONFIG_KIND_NUMBER, max_errors, 1, 65000),
    SETTING("max_commands", CONFIG_KIND_NUMBER, max_commands, 10, UINT32_MAX),
    SETTING("delayed_rejection", CONFIG_KIND_BOOL, delayed_rejection),
};

static const struct config_key limits_keys[] = {
    SETTING("max_connections", CONFIG_KIND_NUMBER, max_connections, 0, 10000000),
    SETTING("max_tls_connections", CONFIG_KIND_NUMBER, max_tls_connections, 0, 10000000),
    SETTING("rate_interval", CONFIG_KIND_DURATION, rate_interval_s, 1, 86400),
};

static const struct config_key shutdown_keys[] = {
    SETTING("grace", CONFIG_KIND_DURATION, grace_s, 0, 3600),
};

static const struct config_key memory_keys[] = {
    SETTING("messages", CONFIG_KIND_SIZE, memory_message_bytes, 16 * MIB_BYTES, TIB_BYTES),
    SETTING("queue", CONFIG_KIND_SIZE, memory_queue_bytes, 16 * MIB_BYTES, TIB_BYTES),
};

static const struct config_key delivery_keys[] = {
    SETTING("port", CONFIG_KIND_NUMBER, delivery_port, 1, 65535),
    SETTING("timeout", CONFIG_KIND_DURATION, delivery_timeout_s, 1, 3600),
};

static void set_defaults(struct config_settings *s)
{
    *s = (struct config_settings){
        .hostname = "localhost",
        .spool_path = "",
        .spool_max_bytes = 10240 * MIB_BYTES,
        .spool_free_bytes = 256 * MIB_BYTES,
        .ktls = POLICY_KTLS_AUTO,
        .tls_version_min = CONFIG_TLS_1_2,
        .tls_ca_path = "",
        .tls_custom_ca_path = "",
        .tls_client_ca_path = "",
        .log_format = CONFIG_LOG_ASYNCOS,
        .log_path = "-",
        .admin_socket_path = "/run/postern/admin.sock",
        .memory_message_bytes = 1024 * MIB_BYTES,
        .memory_queue_bytes = 2560 * MIB_BYTES,
        .command_timeout_s = 300,
        .data_timeout_s = 180,
        .session_max_s = 900,
        .max_errors = 10,
        .max_commands = 100000,
        .grace_s = 30,
        .rate_interval_s = 3600,
        .delivery_port = 25,
        .delivery_timeout_s = 600,
    };
}

static void read_section(struct config_draft *d, const config_setting_t *group, const char *name,
                         const struct config_key *keys, size_t keys_count)
{
    if (group != NULL)
        (void)config_read_keys(&d->reader, group, name, keys, keys_count, &d->settings);
}

/* What a spool in use has in it; some are folders. */
struct spool_part {
    const char *name;
    int mode; /* of access() */
    bool is_folder;
};

static void check_spool_part(struct config_draft *d, const struct spool_part *part)
{
    char path[CONFIG_TEXT_MAX * 2];
    struct stat info;

    (void)snprintf(path, sizeof(path), "%s/%s", d->settings.spool_path, part->name);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode) != part->is_folder)
        errno = part->is_folder ? ENOTDIR : EISDIR;
    else if (access(path, part->mode) == 0 || errno == ENOENT)
        return; /* what is not there will be made */
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.spool, "path"),
                         "cannot %s %s: %m",
                         part->is_folder            ? "use the folder"
                         : (part->mode & W_OK) != 0 ? "write to"
                                                    : "read",
                         path);
}

static void check_spool(struct config_draft *d)
{
    static const struct spool_part parts[] = {
        { "lock", R_OK | W_OK, false },
        { "format", R_OK, false },
        { "ids", R_OK, false },
        { "segments", R_OK | W_OK | X_OK, true },
        { "bodies", R_OK | W_OK | X_OK, true },
        { "mta-sts", R_OK | W_OK | X_OK, true },
    };
    const char *path = d->settings.spool_path;
    struct stat info;

    if (path[0] == '\0' || d->reader.options->skip_files)
        return;
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        errno = ENOTDIR;
    else if (access(path, R_OK | W_OK | X_OK) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            check_spool_part(d, &parts[i]);
        return;
    }
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.spool, "path"),
                         "cannot use the spool folder %s: %m", path);
}

static void check_authorities(struct config_draft *d, const char *key, const char *path)
{
    struct config_tls_judge *judge = d->reader.options->judge;
    char why[CONFIG_PROBLEM_TEXT_MAX] = "";
    bool ok;

    if (path[0] == '\0' || d->reader.options->skip_files)
        return;
    if (access(path, R_OK) != 0) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.tls, key),
                             "cannot read the CA file %s: %m", path);
        return;
    }
    ok = judge == NULL || judge->authorities(judge, path, why, sizeof(why));
    if (!ok || why[0] != '\0')
        config_reader_report(&d->reader, ok ? CONFIG_WARNING : CONFIG_ERROR,
                             config_member(d->root.tls, key), "the CA file: %s", why);
}

static void read_crl_file(struct config_draft *d, const config_setting_t *at, const char **path_out)
{
    unsigned line;
    const char *path = config_path_beside(
        d->reader.arena,
        config_source_where(d->reader.source, config_setting_source_line(at), &line),
        slice_from(config_setting_get_string(at)));

    if (path == NULL) {
        d->reader.is_out_of_memory = true;
        return;
    }
    *path_out = path;
    if (!d->reader.options->skip_files && access(path, R_OK) != 0)
        config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot read the CRL file %s: %m", path);
}

static void read_crl_files(struct config_draft *d)
{
    const config_setting_t *list = d->crl_files;
    int count = list != NULL ? config_setting_length(list) : 0;
    const char **paths;

    if (count > CONFIG_CRL_FILES_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, list, "crl_files has more than %d files",
                             CONFIG_CRL_FILES_MAX);
        return;
    }
    paths = config_reader_take(&d->reader, (size_t)count, sizeof(*paths));
    d->settings.tls_crl_paths = paths;
    for (int i = 0; i < count && paths != NULL && !d->reader.is_out_of_memory; i++) {
        read_crl_file(d, config_setting_get_elem(list, (unsigned)i), &paths[i]);
        d->settings.tls_crl_paths_count++;
    }
}

static void check_tls(struct config_draft *d)
{
    check_authorities(d, "ca_file", d->settings.tls_ca_path);
    check_authorities(d, "custom_ca_file", d->settings.tls_custom_ca_path);
    check_authorities(d, "client_ca_file", d->settings.tls_client_ca_path);
    read_crl_files(d);
}

/* The file is appended to, or made in its folder. */
static void check_log_file(struct config_draft *d, const config_setting_t *at)
{
    const char *path = d->settings.log_path, *slash = strrchr(path, '/');
    struct stat info;
    char folder[CONFIG_TEXT_MAX * 2];

    (void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
                   slash != NULL ? path : ".");
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        errno = EISDIR;
    else if (access(path, W_OK) == 0 || (errno == ENOENT && access(folder, W_OK | X_OK) == 0))
        return;
    config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot write to the log file %s: %m", path);
}

static void check_log(struct config_draft *d)
{
    struct config_settings *s = &d->settings;
    const config_setting_t *at;
    unsigned line;

    if (s->log_format != CONFIG_LOG_ASYNCOS)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.log, "format"),
                             "format = \"%s\" is not supported by this version; \"asyncos\" is",
                             format_words[s->log_format]);
    s->log_format = CONFIG_LOG_ASYNCOS;
    if (d->root.log == NULL || strcmp(s->log_path, "-") == 0)
        return;
    at = config_member(d->root.log, "file");
    s->log_path = config_path_beside(
        d->reader.arena,
        config_source_where(d->reader.source, config_setting_source_line(at), &line),
        slice_from(s->log_path));
    if (s->log_path == NULL)
        d->reader.is_out_of_memory = true;
    else if (!d->reader.options->skip_files)
        check_log_file(d, at);
}

static void check_admin(struct config_draft *d)
{
    if (strlen(d->settings.admin_socket_path) > CONFIG_SOCKET_PATH_MAX)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.admin, "socket"),
                             "the path of the socket has more than %d bytes: %s",
                             CONFIG_SOCKET_PATH_MAX, d->settings.admin_socket_path);
}

/* A section that is not there at all is known to be empty, unless it is required. */
static bool is_known(const struct config_draft *d, const config_setting_t *section,
                     const char *name)
{
    return section != NULL || !config_is_meant(d->at, root_keys, ARRAY_LEN(root_keys), name);
}

static void note_sections(struct config_draft *d)
{
    const struct config_root *r = &d->root;

    d->has_certificates = is_known(d, r->certificates, "certificates");
    d->has_mail_flows = r->mail_flow_policies != NULL;
    d->has_hats = r->hat != NULL;
    d->has_rats = is_known(d, r->rat, "rat");
    d->has_bounce_profiles = is_known(d, r->bounce_profiles, "bounce_profiles");
    d->has_broken_route = !is_known(d, r->routes, "routes");
    d->has_broken_listener = r->listeners == NULL;
    d->has_authorities = !is_known(d, r->tls, "tls");
}

void config_read_general(struct config_draft *d)
{
    struct config_settings *s = &d->settings;
    struct config_root *r = &d->root;

    set_defaults(s);
    r->hostname = s->hostname;
    (void)config_read_keys(&d->reader, d->at, "", root_keys, ARRAY_LEN(root_keys), r);
    s->hostname = r->hostname;
    s->workers = r->workers;
    note_sections(d);
    if (!policy_domain_is_valid(slice_from(s->hostname)))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->at, "hostname"),
                             "hostname = \"%s\" is not a host name", s->hostname);
    read_section(d, r->spool, "spool", spool_keys, ARRAY_LEN(spool_keys));
    check_spool(d);
    if (r->tls != NULL) {
        (void)config_read_keys(&d->reader, r->tls, "tls", tls_keys, ARRAY_LEN(tls_keys), d);
        d->has_authorities =
            config_is_meant(r->tls, tls_keys, ARRAY_LEN(tls_keys), "ca_file") ||
            config_is_meant(r->tls, tls_keys, ARRAY_LEN(tls_keys), "custom_ca_file");
    }
    check_tls(d);
    read_section(d, r->log, "log", log_keys, ARRAY_LEN(log_keys));
    check_log(d);
    read_section(d, r->admin, "admin", admin_keys, ARRAY_LEN(admin_keys));
    check_admin(d);
    read_section(d, r->session, "session", session_keys, ARRAY_LEN(session_keys));
    read_section(d, r->limits, "limits", limits_keys, ARRAY_LEN(limits_keys));
    read_section(d, r->shutdown, "shutdown", shutdown_keys, ARRAY_LEN(shutdown_keys));
    read_section(d, r->delivery, "delivery", delivery_keys, ARRAY_LEN(delivery_keys));
    read_section(d, r->memory, "memory", memory_keys, ARRAY_LEN(memory_keys));
}
