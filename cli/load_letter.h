/* cli/load_letter.h - the message that a session sends, and its envelope. */
#pragma once
#include "cli/load_message.h"
#include "cli/load_options.h"
#include "smtp/client.h"

struct load_letter { /* All sizes are fixed by the options, so one serves for all messages. */
    struct load_message message;
    struct smtp_client_envelope envelope;
    char sender[LOAD_ADDRESS_MAX];
    struct smtp_client_recipient *recipients;
    char *addresses; /* of LOAD_ADDRESS_MAX bytes each */
};

/* NULL: no memory. */
struct load_letter *load_letter_create(const struct load_options *options);
void load_letter_destroy(struct load_letter *letter); /* accepts NULL */

/* Makes it message `number` of the run. */
void load_letter_write(struct load_letter *letter, const struct load_options *options, uint64_t run,
                       uint64_t number, struct slice date);
