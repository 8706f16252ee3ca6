#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/draft.h"
#include "config/suggest.h"

#define PAIR(key, field)                                                                           \
    {                                                                                              \
        key, CONFIG_KIND_PATH, offsetof(struct config_key_pair, field), true, 1                    \
    }

static const struct config_key pair_keys[] = {
    PAIR("chain", chain_path),
    PAIR("key", key_path),
};

/* { chain, key }, or a list of them. Returns how many were read into pairs; of a broken one a path
 * may be NULL. */
static size_t read_pairs(struct config_draft *d, const config_setting_t *at,
                         struct config_key_pair pairs[CONFIG_CERTIFICATE_PAIRS_MAX],
                         bool *is_broken_out)
{
    struct config_reader *r = &d->reader;
    size_t count = 0;
    int length = config_setting_length(at);

    if (config_setting_is_group(at)) {
        *is_broken_out = !config_read_keys(r, at, config_setting_name(at), pair_keys,
                                           ARRAY_LEN(pair_keys), &pairs[0]);
        return 1;
    }
    *is_broken_out = true;
    if (!config_setting_is_list(at) || length < 1 || length > CONFIG_CERTIFICATE_PAIRS_MAX) {
        config_reader_report(r, CONFIG_ERROR, at,
                             "certificate \"%s\" has to be { chain = ...; key = ...; }, or a list "
                             "of at most %d of them",
                             config_setting_name(at), CONFIG_CERTIFICATE_PAIRS_MAX);
        return 0;
    }
    *is_broken_out = false;
    for (int i = 0; i < length; i++) {
        const config_setting_t *e = config_element_group(r, at, (unsigned)i);

        if (e == NULL || !config_read_keys(r, e, config_setting_name(at), pair_keys,
                                           ARRAY_LEN(pair_keys), &pairs[count]))
            *is_broken_out = true;
        if (e != NULL)
            count++;
    }
    return count;
}

void config_read_certificates(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.certificates, CONFIG_CERTIFICATES_MAX);

    d->certificates = config_reader_take(&d->reader, count, sizeof(*d->certificates));
    d->certificate_drafts = config_draft_take(d, count, sizeof(*d->certificate_drafts));
    d->settings.certificates = d->certificates;
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++) {
        struct config_key_pair *pairs =
            config_reader_take(&d->reader, CONFIG_CERTIFICATE_PAIRS_MAX, sizeof(*pairs));
        const config_setting_t *at = config_setting_get_elem(d->root.certificates, (unsigned)i);

        if (pairs == NULL)
            return;
        d->certificate_drafts[i].at = at;
        d->certificates[i] = (struct config_certificate){
            .name = config_reader_text(&d->reader, config_setting_name(at)),
            .at = config_reader_place(&d->reader, at),
            .pairs = pairs,
            .pairs_count = read_pairs(d, at, pairs, &d->certificate_drafts[i].is_broken),
        };
        d->settings.certificates_count++;
    }
}

const struct config_certificate *config_certificate_find(struct config_draft *d,
                                                         const config_setting_t *group,
                                                         const char *name)
{
    struct config_suggestion suggestion = config_suggestion_begin(name);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    for (size_t i = 0; i < d->settings.certificates_count; i++) {
        if (strcmp(d->certificates[i].name, name) == 0) {
            d->certificate_drafts[i].is_used = true;
            return &d->certificates[i];
        }
    }
    if (!d->has_certificates)
        return NULL;
    for (size_t i = 0; i < d->settings.certificates_count; i++)
        config_suggestion_offer(&suggestion, d->certificates[i].name);
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(group, "certificate"),
                         "certificate \"%s\" is not in certificates%s", name,
                         config_suggestion_text(&suggestion, hint));
    return NULL;
}

/* A certificate that is used has to be there; one that waits for its use may not be. */
static void check_file(struct config_draft *d, size_t certificate, const char *what,
                       const char *path)
{
    struct config_certificate_draft *c = &d->certificate_drafts[certificate];
    struct stat info;

    if (path == NULL)
        return;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        errno = EISDIR;
    else if (access(path, R_OK) == 0)
        return;
    c->is_broken = true;
    config_reader_report(&d->reader, c->is_used ? CONFIG_ERROR : CONFIG_WARNING, c->at,
                         "certificate \"%s\": cannot read the %s file %s: %m",
                         d->certificates[certificate].name, what, path);
}

/* Those that are used must load, with keys that fit. */
static void judge_certificate(struct config_draft *d, size_t certificate)
{
    struct config_tls_judge *judge = d->reader.options->judge;
    const struct config_certificate_draft *c = &d->certificate_drafts[certificate];
    const char *name = d->certificates[certificate].name;
    char why[CONFIG_PROBLEM_TEXT_MAX] = "";
    bool ok;

    if (judge == NULL || !c->is_used || c->is_broken)
        return;
    ok = judge->certificate(judge, &d->certificates[certificate], why, sizeof(why));
    if (!ok || why[0] != '\0')
        config_reader_report(&d->reader, ok ? CONFIG_WARNING : CONFIG_ERROR, c->at,
                             "certificate \"%s\": %s", name, why);
}

void config_check_certificates(struct config_draft *d)
{
    for (size_t i = 0; i < d->settings.certificates_count; i++) {
        const struct config_certificate *c = &d->certificates[i];

        for (size_t k = 0; k < c->pairs_count && !d->reader.options->skip_files; k++) {
            check_file(d, i, "chain", c->pairs[k].chain_path);
            check_file(d, i, "key", c->pairs[k].key_path);
        }
        if (!d->reader.options->skip_files)
            judge_certificate(d, i);
    }
}
