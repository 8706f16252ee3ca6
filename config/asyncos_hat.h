/* config/asyncos_hat.h - a Host Access Table of AsyncOS as one of ours.
 *
 * The grammar, a superset of what the versions of AsyncOS export:
 *
 *     file    := { policy | row }
 *     policy  := "$"NAME [text] action [text]
 *     row     := [ GROUP":" [text] ] { entry [text] [","] } ( "$"NAME | action ) [text]
 *     action  := ( "ACCEPT" | "RELAY" | "REJECT" | "TCPREFUSE" | "CONTINUE" ) [ "{" { setting } "}"
 * ] setting := KEY "=" ( "text" | number | word ) [","] text    := "(" anything ")"
 *
 * with "# ..." between any of them. Policies may stand behind the rows that name them. Behind the
 * row of ALL one more action may stand: the default parameters, which every policy that lets mail
 * in takes for what it does not say itself.
 */
#pragma once
#include "config/asyncos_flow.h"
#include "config/draft.h"

#define CONFIG_ASYNCOS_ROWS_MAX     65535 /* one less than a HAT of ours, for the row of ALL */
#define CONFIG_ASYNCOS_POLICIES_MAX CONFIG_MAIL_FLOWS_MAX
#define CONFIG_ASYNCOS_GROUP_MAX    64 /* bytes */

/* Appends to out a text with mail_flow_policies and hat, which has one table of import's name. out
 * needs room for CONFIG_ASYNCOS_OUTPUT_MAX bytes, and problems is new. What could not be carried
 * over becomes a warning, what is not grammar an error; both are in the order of the lines.
 * STATUS_INVALID when there was an error: out may then have a part of the text, which must not be
 * used. */
MUST_USE enum status config_import_hat(const struct config_asyncos_import *import,
                                       struct buffer *out, struct config_problems *problems);

/* Below: the table between reading and writing, for asyncos_hat.c and asyncos_hat_write.c. */

struct config_asyncos_policy {
    struct slice name;  /* theirs, without "$"; empty: made for a row */
    struct slice key;   /* ours */
    const char *origin; /* said in a comment; NULL: it is in the file */
    struct slice comment;
    struct config_asyncos_action action;
    uint64_t name_hash, action_hash;
    unsigned line;
    uint32_t mark;
};

struct config_asyncos_entry {
    struct slice text;    /* as we write it */
    struct slice comment; /* the text in parentheses */
    uint32_t mark;
    bool is_dropped; /* kept as a comment only */
};

struct config_asyncos_row {
    struct slice group; /* empty: it has none */
    struct slice comment;
    struct slice policy_name; /* empty: the action decides */
    struct config_asyncos_action action;
    size_t policy;        /* its number, once it is known */
    size_t first, count;  /* entries */
    size_t dropped_count; /* of them */
    unsigned line;
    uint32_t mark, policy_mark;
    bool is_all;
};

struct config_asyncos_hat {
    struct config_asyncos a;
    struct buffer settings, policies, rows, entries; /* lists */
    struct config_asyncos_row all;                   /* written last */
    struct config_asyncos_action defaults;
    uint32_t defaults_mark, end_mark;
    bool has_all, has_rows_behind_all;
};

size_t config_asyncos_policies_count(const struct config_asyncos_hat *hat);
struct config_asyncos_policy *config_asyncos_policy_at(const struct config_asyncos_hat *hat,
                                                       size_t index);
size_t config_asyncos_rows_count(const struct config_asyncos_hat *hat); /* without ALL */
struct config_asyncos_row *config_asyncos_row_at(const struct config_asyncos_hat *hat,
                                                 size_t index);
const struct config_asyncos_entry *config_asyncos_entry_at(const struct config_asyncos_hat *hat,
                                                           size_t index);

/* Gives every row its policy, and makes those that are missing. asyncos_policy.c */
void config_asyncos_policies_resolve(struct config_asyncos_hat *hat);
void config_asyncos_policy_define(struct config_asyncos_hat *hat,
                                  const struct config_asyncos_policy *policy);

/* asyncos_hat_write.c */
MUST_USE enum status config_asyncos_hat_write(const struct config_asyncos_hat *hat,
                                              const struct config_asyncos_import *import,
                                              struct buffer *out);
