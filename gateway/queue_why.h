/* gateway/queue_why.h - "why am I waiting and until when", of one item of the queue, in words that
 * a person understands. On the thread of the item's owner; changes nothing.
 */
#pragma once
#include "gateway/message.h"

#define GATEWAY_QUEUE_WHY_MAX 768 /* NUL included; longer ones are cut */

struct gateway_queue_why {
    const char *reason;               /* a word for programs, docs/QUEUE.md; static */
    char text[GATEWAY_QUEUE_WHY_MAX]; /* may hold what a peer has said: not for a terminal as it is
                                       */
    int64_t until_s;       /* wall clock, when something happens; 0: when others are done */
    int64_t expires_s;     /* when it is given up; 0: it is not */
    unsigned attempts;     /* that failed */
    unsigned attempts_max; /* the last of which gives it up */
};

void gateway_queue_why(struct gateway_worker *w, const struct gateway_item *item,
                       struct gateway_queue_why *why_out);

/* "host mx.example (192.0.2.1) said: 451 4.7.1 later", or "" where nothing was said. */
void gateway_queue_last_words(const struct gateway_failure *last, char *text, size_t room);

/* What keeps a destination whose hosts are down waiting. */
void gateway_queue_trouble(const struct delivery_destination *destination, char *text, size_t room);
