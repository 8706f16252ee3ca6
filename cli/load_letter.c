#include "cli/load_letter.h"

#include <stdlib.h>

struct load_letter *load_letter_create(const struct load_options *o)
{
    struct load_letter *letter = calloc(1, sizeof(*letter));

    if (letter == NULL)
        return NULL;
    letter->recipients = calloc(o->recipients, sizeof(*letter->recipients));
    letter->addresses = calloc(o->recipients, LOAD_ADDRESS_MAX);
    if (letter->recipients == NULL || letter->addresses == NULL) {
        load_letter_destroy(letter);
        return NULL;
    }
    return letter;
}

void load_letter_destroy(struct load_letter *letter)
{
    if (letter == NULL)
        return;
    free(letter->recipients);
    free(letter->addresses);
    free(letter);
}

void load_letter_write(struct load_letter *letter, const struct load_options *o, uint64_t run,
                       uint64_t number, struct slice date)
{
    struct load_message_facts facts = { .run = run, .number = number, .date = date };
    size_t len = load_pattern_fill(&o->sender, number, letter->sender);

    facts.sender = (struct slice){ letter->sender, len };
    for (uint32_t i = 0; i < o->recipients; i++) {
        char *address = letter->addresses + (size_t)i * LOAD_ADDRESS_MAX;

        len = load_pattern_fill(&o->recipient, number * o->recipients + i, address);
        letter->recipients[i].address = (struct slice){ address, len };
    }
    facts.recipient = letter->recipients[0].address;
    facts.body_bytes = load_options_size(o, number);
    facts.dots = o->dots;
    load_message_init(&letter->message, &facts);
    letter->envelope = (struct smtp_client_envelope){
        .sender = facts.sender,
        .recipients = letter->recipients,
        .recipients_count = o->recipients,
        .message_bytes = load_message_bytes(&letter->message),
    };
}
