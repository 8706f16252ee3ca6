#include "cli/spool_filter.h"

#include <stdio.h>

/* Behind the last "@"; empty when there is none. */
static struct slice domain_of(struct slice address)
{
    size_t at = address.len;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    return at > 0 ? slice_after(address, at) : (struct slice){ 0 };
}

static bool address_is(struct slice address, const char *wanted)
{
    struct slice text = slice_from(wanted);

    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
        text = slice_after(slice_first(text, text.len - 1), 1);
    if (text.len > 1 && text.data[0] == '@')
        return slice_equal_nocase(domain_of(address), slice_after(text, 1));
    return slice_equal_nocase(address, text);
}

static bool recipient_matches(const struct cli_spool_filter *f, struct slice address)
{
    if (f->recipient != NULL && !address_is(address, f->recipient))
        return false;
    return f->domain == NULL || slice_equal_nocase(domain_of(address), slice_from(f->domain));
}

bool cli_spool_filter_matches(const struct cli_spool_filter *f, const struct spool_message *m)
{
    if (f->sender != NULL && !address_is(spool_message_sender(m), f->sender))
        return false;
    if (f->has_arrived_until && spool_message_arrival_wall_s(m) > f->arrived_until_wall_s)
        return false;
    if (f->recipient == NULL && f->domain == NULL)
        return true;
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++)
        if (recipient_matches(f, spool_message_recipient(m, rid)))
            return true;
    return false;
}

void cli_spool_tally_add(struct cli_spool_tally *t, const struct spool_result *result)
{
    switch (result->state) {
    case SPOOL_RESULT_WAITING:
        t->held += spool_result_is_held(result);
        t->waiting++;
        break;
    case SPOOL_RESULT_DEFERRED:
        if (t->deferred == 0 || result->next_attempt_wall_s < t->next_attempt_wall_s)
            t->next_attempt_wall_s = result->next_attempt_wall_s;
        t->held += spool_result_is_held(result);
        t->deferred++;
        break;
    case SPOOL_RESULT_BOUNCED: t->bounced++; break;
    case SPOOL_RESULT_DELIVERED: t->delivered++; break;
    case SPOOL_RESULT_DELETED: t->deleted++; break;
    }
}

const char *cli_spool_age(int64_t seconds, char text[static CLI_SPOOL_AGE_MAX])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };

    (void)snprintf(text, CLI_SPOOL_AGE_MAX, "now");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        /* Twice the unit, so that 90 minutes are not one hour. */
        int64_t least = units[i].unit == 's' ? 1 : 2 * units[i].seconds;

        if (seconds < least)
            continue;
        (void)snprintf(text, CLI_SPOOL_AGE_MAX, "%lld%c", (long long)(seconds / units[i].seconds),
                       units[i].unit);
        break;
    }
    return text;
}
