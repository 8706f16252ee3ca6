/* config/asyncos_block.h - "{ KEY = value ... }": the settings of a policy, the attributes of a
 * recipient.
 */
#pragma once
#include "config/asyncos.h"

struct config_asyncos_pair {
    struct slice name;
    struct slice value; /* a word, or a string without its quotes */
    unsigned line;
    uint32_t mark;
};

/* Embed it, and take the outer object from the argument with CONTAINER_OF. */
struct config_asyncos_block {
    void (*set)(struct config_asyncos_block *block, const struct config_asyncos_pair *pair);
};

/* At the "{": gives every pair to the block, and passes over the "}". */
void config_asyncos_block_read(struct config_asyncos *a, struct config_asyncos_block *block);

/* Each of these reads the value; when it is not of the form, that is reported and the result is
 * false. */
bool config_asyncos_pair_number(struct config_asyncos *a, const struct config_asyncos_pair *p,
                                int64_t *number_out);
/* on | off and their likes; "drop" | "code" too */
bool config_asyncos_pair_switch(struct config_asyncos *a, const struct config_asyncos_pair *p,
                                bool *is_on_out);
/* A number from min to max, else a warning. */
bool config_asyncos_pair_range(struct config_asyncos *a, const struct config_asyncos_pair *p,
                               uint64_t min, uint64_t max, uint64_t *number_out);
/* The text of a reply: printable ASCII of 1 to POLICY_REPLY_TEXT_MAX bytes, else a warning. */
bool config_asyncos_pair_reply(struct config_asyncos *a, const struct config_asyncos_pair *p,
                               struct slice *text_out);
