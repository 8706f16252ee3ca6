/* cli/queue_text.h - lines of the gateway about its queue (gateway/queue_view.h), for people.
 *
 * Pure: the time is an argument; dates are in the system's time zone.
 */
#pragma once
#include <time.h>

#include "base/check.h"
#include "base/slice.h"

#define CLI_QUEUE_FIELD_MAX 1024 /* bytes of one text, NUL included; longer ones are cut */
#define CLI_QUEUE_SHORT_MAX 32

/* What a line says; members that it does not have are 0 and "". Texts are printable. */
struct cli_queue_line {
    char kind[CLI_QUEUE_SHORT_MAX];
    char domain[CLI_QUEUE_FIELD_MAX], sender[CLI_QUEUE_FIELD_MAX], to[CLI_QUEUE_FIELD_MAX];
    char address[CLI_QUEUE_FIELD_MAX], reason[CLI_QUEUE_SHORT_MAX], why[CLI_QUEUE_FIELD_MAX];
    char last[CLI_QUEUE_FIELD_MAX], trouble[CLI_QUEUE_FIELD_MAX], hosts[CLI_QUEUE_SHORT_MAX];
    char listener[CLI_QUEUE_FIELD_MAX], client_ip[CLI_QUEUE_FIELD_MAX];
    char client_name[CLI_QUEUE_FIELD_MAX], helo[CLI_QUEUE_FIELD_MAX], group[CLI_QUEUE_FIELD_MAX];
    char tls[CLI_QUEUE_FIELD_MAX];
    uint64_t mid, rid, recipients, size, arrived, attempts, attempts_max, until, expires;
    uint64_t entries, held, oldest, connections, delivered, deferred, bounced;
    uint64_t matched, done, nothing, busy, refused;
    bool is_bounce, is_durable, is_complete;
};

/* False: it is no such line. */
MUST_USE bool cli_queue_read(struct slice json, struct cli_queue_line *line_out);

/* "45s", "12m", "3h", "5d": since then; "0s" when it is to come. */
const char *cli_queue_age(time_t since_s, time_t now_s, char text[static CLI_QUEUE_SHORT_MAX]);

/* "12:31:05" on the local day of now, else "2026-11-28 12:31"; "-" for 0. */
const char *cli_queue_time(time_t at_s, time_t now_s, char text[static CLI_QUEUE_SHORT_MAX]);

/* "950", "12K", "1.5M" */
const char *cli_queue_size(uint64_t bytes, char text[static CLI_QUEUE_SHORT_MAX]);

/* "host mx.example (192.0.2.1) did not answer in time, next try 12:31:05 (attempt 4 of 101)" */
#define CLI_QUEUE_SENTENCE_MAX (CLI_QUEUE_FIELD_MAX + 128)
const char *cli_queue_sentence(const struct cli_queue_line *line, time_t now_s,
                               char text[static CLI_QUEUE_SENTENCE_MAX]);
