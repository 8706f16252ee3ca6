/* policy/hat_table.h - the inside of a compiled HAT, for the files policy/hat*.c and builder.c.
 *
 * Entries are numbered in listed order, and first match over the rows means: the lowest number of
 * a deciding entry that matches. So each kind of fact has a table from its values to the lowest
 * number for them, and a lookup takes the lowest of the tables' answers.
 *
 * A block list has a million entries, so an entry is its text and a 32-bit offset. What it says is
 * read out of its text again by whoever wants to know (the compiler, explain, the check for
 * hidden entries), and its row is found by its number.
 */
#pragma once
#include "base/arena.h"
#include "policy/domain_map.h"
#include "policy/hat.h"
#include "policy/range_map.h"

/* In the tables below: no entry. Above every number. */
#define POLICY_HAT_NONE POLICY_RANGE_NONE

#define POLICY_HAT_ENTRIES_MAX    ((size_t)POLICY_HAT_NONE)
#define POLICY_HAT_TEXT_BYTES_MAX ((size_t)UINT32_MAX) /* of all entries, with a NUL each */

#define POLICY_HAT_SCORES     (POLICY_SCORE_TENTHS_MAX - POLICY_SCORE_TENTHS_MIN + 1)
#define POLICY_HAT_SCORE_NONE POLICY_HAT_SCORES /* the place behind the scores: there is none */
#define POLICY_HAT_COUNTRIES  (26 * 26)
#define POLICY_HAT_REVERSES   (POLICY_REVERSE_MISMATCHED + 1)

struct policy_hat_row {
    struct slice group;
    const struct policy_mail_flow *flow;
    uint32_t entries_first;
    uint32_t entries_count;
    uint32_t counts[POLICY_SENDER_FORMS_COUNT]; /* of its entries by form */
    uint64_t listings;                          /* the lists they name, a bit each */
};

struct policy_hat_list {
    struct slice zone;
    uint32_t lowest;                 /* of all deciding entries with this zone */
    uint32_t lowest_any;             /* of those that take any answer */
    struct policy_range_map answers; /* of those that do not; none when they are none */
};

struct policy_hat {
    struct slice name;
    struct policy_hat *next;
    struct policy_hat_row *rows;
    size_t rows_count;
    const char *texts;       /* of the entries, a NUL behind each */
    const uint32_t *offsets; /* of each text, and of the end */
    size_t entries_count;

    struct policy_range_map row_of; /* the row of an entry number */
    struct policy_range_map v4, v6;
    struct policy_domain_map names;
    uint32_t names_lowest; /* of the names; and so on: what a fact could give at best */
    uint32_t reverses[POLICY_HAT_REVERSES];
    uint32_t *scores; /* by tenths from the lowest score, POLICY_HAT_SCORE_NONE; NULL: none */
    uint32_t scores_lowest;
    uint32_t *countries; /* by both letters; NULL: none */
    uint32_t countries_lowest;
    struct policy_hat_list *lists;
    size_t lists_count;
};

bool policy_hat_row_decides(const struct policy_hat_row *row);

/* The text of an entry, and what it says. */
struct slice policy_hat_text(const struct policy_hat *hat, uint32_t entry);
struct policy_sender_entry policy_hat_entry(const struct policy_hat *hat, uint32_t entry);
uint32_t policy_hat_row_of(const struct policy_hat *hat, uint32_t entry);

/* With the keys of its family. */
struct policy_range policy_hat_range(const struct policy_address_range *range, uint32_t number);

/* The list with this zone; lists_count when there is none. */
size_t policy_hat_list_find(const struct policy_hat *hat, struct slice zone);

/* A name of 255 bytes at most; longer ones, which no entry could be meant for, are none. */
struct slice policy_hat_known_name(const struct policy_sender *sender);

/* Whether an entry matches, said plainly. */
bool policy_hat_entry_matches(const struct policy_hat *hat, const struct policy_sender_entry *e,
                              const struct policy_sender *sender);

/* Rows, texts and zones are filled in; builds the rest. scratch is for the time of the call. */
MUST_USE enum status policy_hat_compile(struct policy_hat *hat, struct arena *arena,
                                        struct arena *scratch);
