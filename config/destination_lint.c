#include "config/draft.h"

/* An entry does nothing that would not be done without it. Limits are no reason: a domain has its
 * own copy of them with an entry and without. */
static void check_entry(struct config_draft *d, const config_setting_t *at)
{
    const struct policy_destination *entry, *behind;
    const char *domain;

    if (config_setting_lookup_string(at, "domain", &domain) != CONFIG_TRUE)
        return;
    entry = policy_destination_find(d->snapshot, slice_from(domain));
    behind = policy_destination_behind(d->snapshot, slice_from(domain));
    if (policy_destination_equal(entry, behind))
        config_reader_report(&d->reader, CONFIG_WARNING, at,
                             "\"%s\" is treated as it would be without this entry, by \"%.*s\"",
                             domain, SLICE_ARGS(behind->name));
}

void config_check_destinations(struct config_draft *d)
{
    const config_setting_t *domains =
        d->root.destinations != NULL ? config_setting_get_member(d->root.destinations, "domains")
                                     : NULL;
    int count = domains != NULL ? config_setting_length(domains) : 0;

    if (d->reader.problems->errors_count > 0)
        return; /* what is wrong has its default, and then looks like it */
    for (int i = 0; i < count; i++)
        check_entry(d, config_setting_get_elem(domains, (unsigned)i));
}
