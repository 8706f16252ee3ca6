#include "cli/spool_view.h"

#include <stdio.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/spool_text.h"
#include "spool/body_file.h"

#define TEXT_MAX (SPOOL_INFO_MAX + 1)

static const char *const notify_names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };

static void print_flags(unsigned flags)
{
    const char *name;
    bool is_first = true;

    printf("flags         ");
    for (unsigned i = 0; (name = cli_spool_flag(i)) != NULL; i++)
        if ((flags & 1u << i) != 0) {
            printf("%s%s", is_first ? "" : ", ", name);
            is_first = false;
        }
    puts(is_first ? "none" : "");
}

/* Whether the recipient has no final result, and gets none: with the DONE of a message its results
 * need not be written, so none says more than that it is over. */
static bool is_struck_out(const struct cli_spool_view *v, const struct spool_result *r)
{
    return v->found->is_done &&
           (r->state == SPOOL_RESULT_WAITING || r->state == SPOOL_RESULT_DEFERRED);
}

static const char *state_of(const struct cli_spool_view *v, const struct spool_result *r)
{
    return is_struck_out(v, r) ? "over" : cli_spool_state(r->state);
}

/* What is to come of a recipient. */
static void print_future(const struct cli_spool_view *v, const struct spool_result *r)
{
    char date[CLOCK_DATE_MAX];

    if (v->found == NULL || is_struck_out(v, r))
        return;
    if (r->state == SPOOL_RESULT_DEFERRED)
        printf(", next try %s", clock_format_log((time_t)r->next_attempt_wall_s, date));
    if (spool_result_is_held(r))
        printf(", held");
}

static void print_recipient(const struct cli_spool_view *v, unsigned rid)
{
    struct spool_dsn dsn = spool_message_dsn(v->message, rid);
    char address[CLI_SPOOL_ADDRESS_MAX], orcpt[SPOOL_ORCPT_MAX + 1], date[CLOCK_DATE_MAX];
    struct spool_result r = { .rid = rid };
    const char *state = "unknown";

    if (v->found != NULL) {
        r = spool_recovery_result(v->found, rid);
        state = state_of(v, &r);
    }
    printf("%5u  %-9s %5u  %s", rid, state, r.attempts,
           cli_spool_address(spool_message_recipient(v->message, rid), address));
    for (unsigned i = 0; i < ARRAY_LEN(notify_names); i++)
        if ((dsn.notify & 1u << i) != 0)
            printf(" NOTIFY=%s", notify_names[i]);
    if (dsn.orcpt.len > 0)
        printf(" ORCPT=%s", cli_spool_clean(dsn.orcpt, orcpt, sizeof(orcpt)));
    print_future(v, &r);
    if (r.warnings > 0)
        printf(", delay told %s", clock_format_log((time_t)r.warned_wall_s, date));
    putchar('\n');
}

static void print_place(const struct cli_spool_view *v)
{
    char name[SPOOL_BODY_NAME_MAX];

    printf("lies in       %s, offset %llu, %zu bytes\n", v->place, (unsigned long long)v->offset,
           spool_message_record_bytes(v->message));
    if (spool_message_body_in_file(v->message))
        printf("body in       bodies/%s%s\n", spool_body_name(spool_message_mid(v->message), name),
               v->found != NULL && v->found->body_missing ? ", which is missing or too short" : "");
    if (v->is_changed)
        printf("checksum      WRONG: some of what is printed here is not what was written\n");
}

void cli_spool_view_print(const struct cli_spool_view *v)
{
    const struct spool_message *m = v->message;
    char text[TEXT_MAX], date[CLOCK_DATE_MAX], sender[CLI_SPOOL_ADDRESS_MAX];

    printf("MID           %llu\n", (unsigned long long)spool_message_mid(m));
    printf("state         %s\n", v->state);
    printf("arrived       %s\n", clock_format_log((time_t)spool_message_arrival_wall_s(m), date));
    printf("ICID          %llu\n", (unsigned long long)spool_message_icid(m));
    printf("sender        %s\n", cli_spool_address(spool_message_sender(m), sender));
    printf("size          %llu, of these %llu as they were received\n",
           (unsigned long long)spool_message_size(m),
           (unsigned long long)spool_message_body_bytes(m));
    print_flags(spool_message_flags(m));
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++) {
        struct slice info = spool_message_info(m, (enum spool_info)i);

        if (info.len > 0)
            printf("%-13s %s\n", cli_spool_info_name((enum spool_info)i),
                   cli_spool_clean(info, text, sizeof(text)));
    }
    print_place(v);
    printf("\n%5s  %-9s %5s  %s\n", "RID", "STATE", "TRIES", "RECIPIENT");
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++)
        print_recipient(v, rid);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void print_recipient_json(const struct cli_spool_view *v, unsigned rid)
{
    struct spool_dsn dsn = spool_message_dsn(v->message, rid);

    fputs(rid > 0 ? ",\n  {" : "\n  {", stdout);
    cli_json_number(true, "rid", rid);
    cli_json_member(false, "address", spool_message_recipient(v->message, rid));
    cli_json_name(false, "notify");
    putchar('[');
    for (unsigned i = 0, printed = 0; i < ARRAY_LEN(notify_names); i++)
        if ((dsn.notify & 1u << i) != 0)
            printf("%s\"%s\"", printed++ > 0 ? ", " : "", notify_names[i]);
    putchar(']');
    cli_json_member(false, "orcpt", dsn.orcpt);
    if (v->found != NULL) {
        struct spool_result r = spool_recovery_result(v->found, rid);

        cli_json_member(false, "state", slice_from(state_of(v, &r)));
        cli_json_number(false, "attempts", r.attempts);
        cli_json_number(false, "warnings", r.warnings);
        cli_json_bool(false, "held", spool_result_is_held(&r) && !is_struck_out(v, &r));
        if (r.state == SPOOL_RESULT_DEFERRED && !is_struck_out(v, &r))
            cli_json_number(false, "next_attempt", (uint64_t)r.next_attempt_wall_s);
    }
    putchar('}');
}

void cli_spool_view_print_json(const struct cli_spool_view *v, bool is_snapshot)
{
    const struct spool_message *m = v->message;
    const char *name;
    bool is_first = true;

    putchar('{');
    cli_json_bool(true, "snapshot", is_snapshot);
    cli_json_number(false, "mid", spool_message_mid(m));
    cli_json_member(false, "state", slice_from(v->state));
    cli_json_number(false, "arrival", (uint64_t)spool_message_arrival_wall_s(m));
    cli_json_number(false, "icid", spool_message_icid(m));
    cli_json_member(false, "sender", spool_message_sender(m));
    cli_json_number(false, "size", spool_message_size(m));
    cli_json_number(false, "body_bytes", spool_message_body_bytes(m));
    cli_json_name(false, "flags");
    putchar('[');
    for (unsigned i = 0; (name = cli_spool_flag(i)) != NULL; i++)
        if ((spool_message_flags(m) & 1u << i) != 0) {
            fputs(is_first ? "" : ", ", stdout);
            cli_json_text(slice_from(name));
            is_first = false;
        }
    putchar(']');
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
        cli_json_member(false, cli_spool_info_name((enum spool_info)i),
                        spool_message_info(m, (enum spool_info)i));
    cli_json_member(false, "place", slice_from(v->place));
    cli_json_number(false, "generation", v->generation);
    cli_json_number(false, "offset", v->offset);
    cli_json_number(false, "record_bytes", spool_message_record_bytes(m));
    cli_json_bool(false, "body_in_file", spool_message_body_in_file(m));
    cli_json_bool(false, "body_missing", v->found != NULL && v->found->body_missing);
    cli_json_bool(false, "is_changed", v->is_changed);
    cli_json_name(false, "recipients");
    putchar('[');
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++)
        print_recipient_json(v, rid);
    puts("]}");
}
