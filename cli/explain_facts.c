#include "cli/explain_facts.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "policy/domain_map.h"

static const char *const reverse_words[] = { "verified", "none", "failed", "mismatched" };

static bool parse_reverse(const char *text, enum policy_reverse *reverse_out)
{
    for (size_t i = 0; i < ARRAY_LEN(reverse_words); i++) {
        if (strcmp(text, reverse_words[i]) != 0)
            continue;
        *reverse_out = (enum policy_reverse)(POLICY_REVERSE_VERIFIED + i);
        return true;
    }
    return false;
}

/* "-1.1" or "none", as it stands in a HAT. */
static bool parse_score(const char *text, struct policy_score *score_out)
{
    char sender[64];
    struct policy_sender_entry e;
    int len = strcmp(text, "none") == 0
                  ? snprintf(sender, sizeof(sender), "SBRS[none]")
                  : snprintf(sender, sizeof(sender), "SBRS[%s:%s]", text, text);

    if (len < 0 || (size_t)len >= sizeof(sender) ||
        policy_sender_parse(slice_from(sender), &e) != NULL)
        return false;
    *score_out =
        (struct policy_score){ .state = e.form == POLICY_SENDER_NO_SCORE ? POLICY_SCORE_NONE
                                                                         : POLICY_SCORE_KNOWN,
                               .tenths = e.tenths_min };
    return true;
}

/* "ZONE=ADDRESS"; *has_address_out says whether there is one. */
static bool parse_listed(const char *text, struct slice *zone_out, bool *has_address_out,
                         struct ip_address *address_out)
{
    struct slice rest = slice_from(text);

    *zone_out = slice_cut(&rest, '=');
    *has_address_out = zone_out->len < strlen(text);
    return policy_domain_is_valid(*zone_out) && (!*has_address_out || ip_parse(rest, address_out));
}

int cli_facts_parse(const char *command, const struct cli_facts_text *text,
                    struct policy_sender *sender)
{
    if (text->host != NULL && !policy_domain_is_valid(slice_from(text->host)))
        return cli_misuse(command, "\"%s\" is not a host name", text->host);
    if (text->host != NULL) {
        sender->name = slice_from(text->host);
        sender->reverse = POLICY_REVERSE_VERIFIED;
    }
    if (text->reverse != NULL && !parse_reverse(text->reverse, &sender->reverse))
        return cli_misuse(command, "--reverse is verified, none, failed or mismatched, not \"%s\"",
                          text->reverse);
    if (sender->reverse == POLICY_REVERSE_VERIFIED && text->host == NULL)
        return cli_misuse(command, "--reverse verified needs --host NAME");
    if (text->score != NULL && !parse_score(text->score, &sender->score))
        return cli_misuse(command, "--score is from -10.0 to 10.0, or none, not \"%s\"",
                          text->score);
    if (text->country != NULL) {
        sender->is_country_known = true;
        sender->country = slice_from(text->country);
        if (strcmp(text->country, "none") == 0)
            sender->country.len = 0;
        else if (sender->country.len != 2 || !ascii_is_letter(text->country[0]) ||
                 !ascii_is_letter(text->country[1]))
            return cli_misuse(command, "--country is two letters, or none, not \"%s\"",
                              text->country);
    }
    for (size_t i = 0; i < text->listed_count; i++) {
        struct ip_address address;
        struct slice zone;
        bool has_address;

        if (!parse_listed(text->listed[i], &zone, &has_address, &address))
            return cli_misuse(command, "--listed is ZONE or ZONE=ADDRESS, not \"%s\"",
                              text->listed[i]);
    }
    return CLI_GO_ON;
}

bool cli_facts_is_list_of(const char *listed, const struct policy_hat *hat)
{
    struct ip_address address;
    struct slice zone;
    bool has_address;

    if (!parse_listed(listed, &zone, &has_address, &address))
        return false;
    for (size_t i = 0; i < policy_hat_lists_count(hat); i++)
        if (slice_equal_nocase(policy_hat_list_zone(hat, i), policy_domain_normal(zone)))
            return true;
    return false;
}

static void add_listing(const char *text, const struct policy_hat *hat,
                        struct policy_listing listings[static POLICY_HAT_LISTS_MAX])
{
    struct ip_address address;
    struct slice zone;
    bool has_address;

    if (!parse_listed(text, &zone, &has_address, &address))
        return;
    zone = policy_domain_normal(zone);
    for (size_t i = 0; i < policy_hat_lists_count(hat); i++) {
        struct policy_listing *l = &listings[i];

        if (!slice_equal_nocase(policy_hat_list_zone(hat, i), zone))
            continue;
        l->state = POLICY_LISTING_LISTED;
        if (has_address && l->addresses_count < POLICY_LISTED_ADDRESSES_MAX)
            l->addresses[l->addresses_count++] = address;
    }
}

void cli_facts_set_listings(const struct cli_facts_text *text, const struct policy_hat *hat,
                            struct policy_listing listings[static POLICY_HAT_LISTS_MAX],
                            struct policy_sender *sender)
{
    size_t count = policy_hat_lists_count(hat);

    for (size_t i = 0; i < count; i++)
        listings[i] =
            (struct policy_listing){ .state = text->listed_count > 0 ? POLICY_LISTING_NOT_LISTED
                                                                     : POLICY_LISTING_UNKNOWN };
    for (size_t i = 0; i < text->listed_count; i++)
        add_listing(text->listed[i], hat, listings);
    sender->listings = listings;
    sender->listings_count = count;
}
