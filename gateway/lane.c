#include "gateway/lane.h"

#include "base/pool.h"
#include "gateway/worker.h"

static size_t bytes_for(size_t domain_bytes, size_t listener_bytes)
{
    return sizeof(struct gateway_lane) + domain_bytes + listener_bytes;
}

static void lane_free(struct gateway_lane *lane)
{
    pool_give(lane, bytes_for(lane->domain_bytes, lane->listener_bytes));
}

enum status gateway_lanes_init(struct gateway_lanes *lanes, struct gateway_process *process)
{
    lanes->process = process;
    return table_init(&lanes->by_name);
}

void gateway_lanes_finish(struct gateway_lanes *lanes)
{
    for (size_t i = 0; i < lanes->by_name.buckets_count; i++) {
        struct table_node *n = lanes->by_name.buckets[i], *next;

        for (; n != NULL; n = next) {
            next = n->next;
            lane_free(CONTAINER_OF(n, struct gateway_lane, by_name));
        }
    }
    table_finish(&lanes->by_name);
}

static uint64_t hash_of(const struct gateway_process *process, struct slice domain)
{
    return hash_text_nocase(&process->seed, domain);
}

static struct gateway_worker *owner_by(struct gateway_process *process, uint64_t hash)
{
    return &process->workers[hash % process->workers_count];
}

struct gateway_worker *gateway_lane_owner_of(struct gateway_process *process, struct slice domain)
{
    return owner_by(process, hash_of(process, domain));
}

static bool is_it(const struct gateway_lane *lane, const struct gateway_lane_key *key)
{
    return lane->is_tls_optional == key->is_tls_optional &&
           slice_equal(gateway_lane_domain(lane), key->domain) &&
           slice_equal(gateway_lane_listener(lane), key->listener);
}

static struct gateway_lane *make(struct gateway_lanes *lanes, const struct gateway_lane_key *key,
                                 uint64_t hash)
{
    struct gateway_lane *lane = pool_take(bytes_for(key->domain.len, key->listener.len));

    if (lane == NULL)
        return NULL;
    *lane = (struct gateway_lane){
        .lanes = lanes,
        .owner = owner_by(lanes->process, hash),
        .domain_bytes = (uint16_t)key->domain.len,
        .listener_bytes = (uint16_t)key->listener.len,
        .is_tls_optional = key->is_tls_optional,
    };
    if (key->domain.len > 0)
        memcpy(lane->text, key->domain.data, key->domain.len);
    if (key->listener.len > 0)
        memcpy(lane->text + key->domain.len, key->listener.data, key->listener.len);
    table_insert(&lanes->by_name, &lane->by_name, hash);
    return lane;
}

struct gateway_lane *gateway_lane_acquire(struct gateway_lanes *lanes,
                                          const struct gateway_lane_key *key)
{
    uint64_t hash = hash_of(lanes->process, key->domain);
    struct gateway_lane *lane = NULL;

    ASSERT(key->domain.len <= UINT16_MAX && key->listener.len <= UINT16_MAX);
    for (struct table_node *n = table_find(&lanes->by_name, hash); n != NULL && lane == NULL;
         n = table_find_next(n))
        if (is_it(CONTAINER_OF(n, struct gateway_lane, by_name), key))
            lane = CONTAINER_OF(n, struct gateway_lane, by_name);
    if (lane == NULL)
        lane = make(lanes, key, hash);
    if (lane != NULL)
        lane->items_count++;
    return lane;
}

void gateway_lane_release(struct gateway_lane *lane)
{
    if (lane == NULL)
        return;
    ASSERT(lane->items_count > 0);
    lane->items_count--;
    if (lane->items_count > 0)
        return;
    table_remove(&lane->lanes->by_name, &lane->by_name);
    lane_free(lane);
}
