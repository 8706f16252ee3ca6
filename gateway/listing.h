/* gateway/listing.h - what other threads may know of the configuration in force.
 *
 * A generation can be freed as soon as no worker holds it, so a thread that is none of the workers
 * may not look into one. The supervisor writes here what such a thread needs, at each reload; the
 * reader gets a copy. The lock is between these two: no worker ever takes it.
 */
#pragma once
#include <pthread.h>

#include "config/settings.h"

#define GATEWAY_LISTING_NAME_MAX 64 /* NUL included; longer names are cut */

struct gateway_listing_listener {
    char name[GATEWAY_LISTING_NAME_MAX];
    struct ip_endpoint endpoint;
    uint32_t load; /* index into the process's loads, the number of peer_count.h */
};

struct gateway_listing_copy {
    uint64_t generation; /* of the file that was read last; workers may not have it yet */
    size_t listeners_count;
    struct gateway_listing_listener listeners[CONFIG_LISTENERS_MAX];
};

struct gateway_listing { /* Fields are private. */
    pthread_mutex_t lock;
    struct gateway_listing_copy copy;
};

void gateway_listing_init(struct gateway_listing *l);
void gateway_listing_finish(struct gateway_listing *l);

void gateway_listing_read(struct gateway_listing *l, struct gateway_listing_copy *copy_out);
void gateway_listing_write(struct gateway_listing *l, const struct gateway_listing_copy *copy);
