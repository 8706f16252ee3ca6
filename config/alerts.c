#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/draft.h"
#include "policy/address_table.h"

#define SETTING(key, kind, field, ...)                                                             \
    {                                                                                              \
        key, kind, offsetof(struct alerts, field), false, __VA_ARGS__                              \
    }

/* The section alerts as it is written. */
struct alerts {
    const config_setting_t *mail;
    const char *from, *command;
    uint32_t initial_wait_s, max_wait_s;
    bool required_tls, spool, certificates;
};

static const struct config_key alerts_keys[] = {
    SETTING("mail", CONFIG_KIND_STRINGS, mail, 0),
    SETTING("from", CONFIG_KIND_TEXT, from, 1, CONFIG_ALERT_ADDRESS_BYTES_MAX),
    SETTING("command", CONFIG_KIND_PATH, command, 1),
    SETTING("initial_wait", CONFIG_KIND_DURATION, initial_wait_s, 0, 86400),
    SETTING("max_wait", CONFIG_KIND_DURATION, max_wait_s, 0, 7 * 86400),
    SETTING("required_tls", CONFIG_KIND_BOOL, required_tls, 0),
    SETTING("spool", CONFIG_KIND_BOOL, spool, 0),
    SETTING("certificates", CONFIG_KIND_BOOL, certificates, 0),
};

bool config_is_plain_address(const char *text)
{
    struct slice s = slice_from(text);

    if (s.len > CONFIG_ALERT_ADDRESS_BYTES_MAX || policy_address_form(s) != POLICY_ADDRESS_WHOLE)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f || strchr("<>()[]\\,;:\"", s.data[i]) != NULL)
            return false;
    return true;
}

static void read_recipients(struct config_draft *d, const config_setting_t *list)
{
    struct config_alerts *alerts = &d->settings.alerts;
    int count = list != NULL ? config_setting_length(list) : 0;
    const char **mail;

    if (count > CONFIG_ALERT_RECIPIENTS_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, list, "mail has more than %d addresses",
                             CONFIG_ALERT_RECIPIENTS_MAX);
        return;
    }
    mail = config_reader_take(&d->reader, (size_t)count, sizeof(*mail));
    for (int i = 0; i < count && mail != NULL; i++) {
        const char *text = config_setting_get_string_elem(list, i);

        if (config_is_plain_address(text))
            mail[alerts->mail_count++] = config_reader_text(&d->reader, text);
        else
            config_reader_report(
                &d->reader, CONFIG_ERROR, config_setting_get_elem(list, (unsigned)i),
                "mail: \"%s\" is not an address of the form user@example.com", text);
    }
    alerts->mail = mail;
}

static void check_command(struct config_draft *d, const char *path)
{
    struct stat info = { 0 };

    if (path[0] == '\0' || d->reader.options->skip_files)
        return;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        errno = EACCES;
    else if (access(path, X_OK) == 0)
        return;
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.alerts, "command"),
                         "cannot run %s: %m", path);
}

void config_read_alerts(struct config_draft *d)
{
    struct config_alerts *alerts = &d->settings.alerts;
    struct alerts written = {
        .from = "",
        .command = "",
        .initial_wait_s = 300,
        .max_wait_s = 3600,
        .required_tls = true,
        .spool = true,
        .certificates = true,
    };

    if (d->root.alerts != NULL)
        (void)config_read_keys(&d->reader, d->root.alerts, "alerts", alerts_keys,
                               ARRAY_LEN(alerts_keys), &written);
    read_recipients(d, written.mail);
    if (written.from[0] != '\0' && !config_is_plain_address(written.from))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.alerts, "from"),
                             "from = \"%s\" is not an address of the form user@example.com",
                             written.from);
    check_command(d, written.command);
    if (written.max_wait_s < written.initial_wait_s)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.alerts, "max_wait"),
                             "max_wait has to be at least initial_wait, %u seconds",
                             written.initial_wait_s);
    alerts->from = written.from;
    alerts->command = written.command;
    alerts->initial_wait_s = written.initial_wait_s;
    alerts->max_wait_s = written.max_wait_s;
    alerts->required_tls = written.required_tls;
    alerts->spool = written.spool;
    alerts->certificates = written.certificates;
}
