#include "cli/queue_text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "cli/printable.h"

#define DAY_S 86400

/* --- reading --------------------------------------------------------------------------------- */

#define TEXT(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct cli_queue_line, member),                                          \
            sizeof(((struct cli_queue_line *)NULL)->member)                                        \
    }

static const struct {
    const char *name;
    size_t at;
    size_t room;
} texts[] = {
    TEXT(kind), TEXT(domain), TEXT(sender),    TEXT(to),          TEXT(address),  TEXT(reason),
    TEXT(why),  TEXT(last),   TEXT(trouble),   TEXT(hosts),       TEXT(listener), TEXT(helo),
    TEXT(tls),  TEXT(group),  TEXT(client_ip), TEXT(client_name),
};

#define NUMBER(member)                                                                             \
    {                                                                                              \
#member, offsetof(struct cli_queue_line, member)                                           \
    }

static const struct {
    const char *name;
    size_t at;
} numbers[] = {
    NUMBER(mid),      NUMBER(rid),          NUMBER(recipients), NUMBER(size),
    NUMBER(arrived),  NUMBER(attempts),     NUMBER(until),      NUMBER(expires),
    NUMBER(entries),  NUMBER(attempts_max), NUMBER(held),       NUMBER(oldest),
    NUMBER(deferred), NUMBER(connections),  NUMBER(delivered),  NUMBER(bounced),
    NUMBER(matched),  NUMBER(done),         NUMBER(nothing),    NUMBER(busy),
    NUMBER(refused),
};

static void set_text(struct cli_queue_line *line, struct slice name, struct slice value)
{
    char plain[CLI_QUEUE_FIELD_MAX];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (slice_equal(name, slice_from(texts[i].name))) {
            (void)json_unescape(value, plain, sizeof(plain));
            (void)cli_printable(slice_from(plain), (char *)line + texts[i].at, texts[i].room);
        }
}

static void set_number(struct cli_queue_line *line, struct slice name, uint64_t value)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (slice_equal(name, slice_from(numbers[i].name)))
            memcpy((char *)line + numbers[i].at, &value, sizeof(value));
}

static void set_word(struct cli_queue_line *line, struct slice name, bool value)
{
    if (slice_equal(name, SLICE("bounce")))
        line->is_bounce = value;
    if (slice_equal(name, SLICE("durable")))
        line->is_durable = value;
    if (slice_equal(name, SLICE("complete")))
        line->is_complete = value;
}

bool cli_queue_read(struct slice json, struct cli_queue_line *line_out)
{
    struct slice name = { 0 }, value;
    struct json_scan scan;
    enum json_token token;

    *line_out = (struct cli_queue_line){ 0 };
    json_scan_init(&scan, json);
    while ((token = json_scan_next(&scan, &value)) != JSON_END && token != JSON_BAD) {
        uint64_t number;

        if (token == JSON_NAME)
            name = value;
        if (token == JSON_NAME || scan.depth != 1)
            continue;
        if (token == JSON_STRING)
            set_text(line_out, name, value);
        if (token == JSON_WORD)
            set_word(line_out, name, slice_equal(value, SLICE("true")));
        if (token == JSON_NUMBER && !slice_to_number(value, UINT64_MAX, &number))
            return false;
        if (token == JSON_NUMBER)
            set_number(line_out, name, number);
    }
    return token == JSON_END && line_out->kind[0] != '\0';
}

/* --- writing --------------------------------------------------------------------------------- */

const char *cli_queue_age(time_t since_s, time_t now_s, char text[static CLI_QUEUE_SHORT_MAX])
{
    long long age_s = now_s > since_s ? (long long)(now_s - since_s) : 0;

    if (age_s < 100)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%llds", age_s);
    else if (age_s < 100LL * 60)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%lldm", age_s / 60);
    else if (age_s < 2LL * DAY_S)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%lldh", age_s / 3600);
    else
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%lldd", age_s / DAY_S);
    return text;
}

const char *cli_queue_time(time_t at_s, time_t now_s, char text[static CLI_QUEUE_SHORT_MAX])
{
    bool is_today;
    struct tm at, now;

    if (at_s == 0 || localtime_r(&at_s, &at) == NULL || localtime_r(&now_s, &now) == NULL) {
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "-");
        return text;
    }
    is_today = at.tm_year == now.tm_year && at.tm_yday == now.tm_yday;
    if (strftime(text, CLI_QUEUE_SHORT_MAX, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &at) == 0)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "-");
    return text;
}

const char *cli_queue_size(uint64_t bytes, char text[static CLI_QUEUE_SHORT_MAX])
{
    static const char units[] = " KMGTPE";
    unsigned unit = 0;
    uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;

    while (tenths >= 10240 && unit + 2 < sizeof(units)) {
        tenths /= 1024;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%llu", (unsigned long long)bytes);
    else if (tenths < 100)
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%llu.%llu%c", (unsigned long long)tenths / 10,
                       (unsigned long long)tenths % 10, units[unit]);
    else
        (void)snprintf(text, CLI_QUEUE_SHORT_MAX, "%llu%c", (unsigned long long)tenths / 10,
                       units[unit]);
    return text;
}

/* What happens at `until`. */
static const char *event_of(const char *reason)
{
    static const struct {
        const char *reason;
        const char *event;
    } events[] = {
        { "dns", "asked again at" }, { "recipient limit", "more at" }, { "crowded", "more at" },
        { "gateway", "again at" },   { "retry", "next try" },          { "host", "next try" },
        { "tls", "next try" },
    };

    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (strcmp(events[i].reason, reason) == 0)
            return events[i].event;
    return "until";
}

const char *cli_queue_sentence(const struct cli_queue_line *line, time_t now_s,
                               char text[static CLI_QUEUE_SENTENCE_MAX])
{
    const char *event = event_of(line->reason);
    char at[CLI_QUEUE_SHORT_MAX], attempt[64] = "";

    if (strcmp(event, "next try") == 0)
        (void)snprintf(attempt, sizeof(attempt), " (attempt %llu of %llu)",
                       (unsigned long long)line->attempts + 1,
                       (unsigned long long)line->attempts_max);
    if (line->until == 0)
        (void)snprintf(text, CLI_QUEUE_SENTENCE_MAX, "%s", line->why);
    else
        (void)snprintf(text, CLI_QUEUE_SENTENCE_MAX, "%s, %s %s%s", line->why, event,
                       cli_queue_time((time_t)line->until, now_s, at), attempt);
    return text;
}
