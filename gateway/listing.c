#include "gateway/listing.h"

#include "base/check.h"

void gateway_listing_init(struct gateway_listing *l)
{
    *l = (struct gateway_listing){ 0 };
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
}

void gateway_listing_finish(struct gateway_listing *l)
{
    (void)pthread_mutex_destroy(&l->lock);
}

void gateway_listing_read(struct gateway_listing *l, struct gateway_listing_copy *copy_out)
{
    (void)pthread_mutex_lock(&l->lock);
    *copy_out = l->copy;
    (void)pthread_mutex_unlock(&l->lock);
}

void gateway_listing_write(struct gateway_listing *l, const struct gateway_listing_copy *copy)
{
    (void)pthread_mutex_lock(&l->lock);
    l->copy = *copy;
    (void)pthread_mutex_unlock(&l->lock);
}
