#include "policy/builder.h"

#include <stdlib.h>

#include "policy/hat_draft.h"
#include "policy/snapshot_table.h"

/* Whatever is added is copied to the snapshot's arena at once; the lists that remember the
 * order, whose length is not known before the end, live in the scratch arena. */
struct recipient_link {
    struct recipient_link *next;
    struct policy_rat_entry entry;
};

struct policy_rat_draft {
    struct policy_rat_draft *next;
    struct slice name;
    struct recipient_link *entries;
    struct recipient_link *entries_last;
    size_t entries_count;
};

struct destination_link {
    struct destination_link *next;
    struct policy_destination destination;
};

struct route_link {
    struct route_link *next;
    struct policy_route route;
};

struct hat_link {
    struct hat_link *next;
    struct policy_hat_draft *draft;
};

struct policy_builder {
    struct policy_snapshot *snapshot;
    struct arena scratch;
    struct hat_link *hats, *hats_last;
    struct policy_rat_draft *rats, *rats_last;
    struct destination_link *destinations, *destinations_last;
    struct route_link *routes, *routes_last;
};

/* Appends to the singly linked list that begins at first and ends at last. */
#define APPEND(first, last, node)                                                                  \
    do {                                                                                           \
        if ((first) == NULL)                                                                       \
            (first) = (node);                                                                      \
        else                                                                                       \
            (last)->next = (node);                                                                 \
        (last) = (node);                                                                           \
    } while (0)

enum status policy_builder_create(uint64_t generation, size_t bytes_max,
                                  struct policy_builder **builder_out)
{
    struct policy_builder *b = calloc(1, sizeof(*b));
    struct policy_snapshot *s = calloc(1, sizeof(*s));

    if (b == NULL || s == NULL) {
        free(b);
        free(s);
        return STATUS_NO_MEMORY;
    }
    arena_init(&b->scratch, bytes_max);
    arena_init(&s->arena, bytes_max);
    s->generation = generation;
    s->destination_default = policy_destination_default();
    b->snapshot = s;
    *builder_out = b;
    return STATUS_OK;
}

void policy_builder_destroy(struct policy_builder *b)
{
    if (b == NULL)
        return;
    policy_snapshot_destroy(b->snapshot);
    arena_finish(&b->scratch);
    free(b);
}

/* Copies texts to an array of the arena. */
static enum status copy_texts(struct arena *arena, const struct slice *texts, size_t count,
                              struct slice **copies_out)
{
    struct slice *copies = arena_take(arena, count, sizeof(*copies));

    if (copies == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!arena_copy(arena, texts[i], &copies[i]))
            return STATUS_NO_MEMORY;
    *copies_out = copies;
    return STATUS_OK;
}

enum status policy_builder_add_mail_flow(struct policy_builder *b,
                                         const struct policy_mail_flow *flow,
                                         const struct policy_mail_flow **flow_out)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_mail_flow *copy = arena_take(arena, 1, sizeof(*copy));
    struct slice *names = NULL;

    if (copy == NULL)
        return STATUS_NO_MEMORY;
    *copy = *flow;
    if (!arena_copy(arena, flow->name, &copy->name) ||
        !arena_copy(arena, flow->hostname, &copy->hostname))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        if (!policy_reply_text_is_valid(flow->replies[i].text))
            return STATUS_INVALID;
        if (!arena_copy(arena, flow->replies[i].text, &copy->replies[i].text))
            return STATUS_NO_MEMORY;
    }
    TRY(copy_texts(arena, flow->client_names, flow->client_names_count, &names));
    copy->client_names = names;
    copy->index = b->snapshot->mail_flows_count++;
    *flow_out = copy;
    return STATUS_OK;
}

/* Compiles patterns as they are written in a list. */
static enum status build_table(struct arena *arena, const struct slice *patterns, size_t count,
                               struct policy_address_table *table_out)
{
    struct slice *copies = NULL;

    TRY(copy_texts(arena, patterns, count, &copies));
    if (!policy_address_table_init(table_out, arena, count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!policy_address_list_takes(copies[i]))
            return STATUS_INVALID;
        policy_address_table_add(table_out, policy_address_list_pattern(copies[i]), i);
    }
    return STATUS_OK;
}

enum status policy_builder_add_address_list(struct policy_builder *b, struct slice name,
                                            const struct slice *patterns, size_t count,
                                            const struct policy_address_list **list_out)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_address_list *list = arena_take(arena, 1, sizeof(*list));

    if (count > POLICY_ADDRESS_LIST_ITEMS_MAX)
        return STATUS_LIMIT;
    if (list == NULL || !arena_copy(arena, name, &list->name))
        return STATUS_NO_MEMORY;
    TRY(build_table(arena, patterns, count, &list->table));
    *list_out = list;
    return STATUS_OK;
}

enum status policy_builder_set_scores(struct policy_builder *b, struct policy_score_entry *entries,
                                      size_t count)
{
    ASSERT(b->snapshot->scores.count == 0);
    return policy_scores_compile(&b->snapshot->scores, &b->snapshot->arena, entries, count);
}

enum status policy_builder_set_exceptions(struct policy_builder *b, const struct slice *patterns,
                                          const struct policy_exception_rule *rules, size_t count)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_exceptions e = { .count = count };

    ASSERT(b->snapshot->exceptions.count == 0);
    if (count > POLICY_EXCEPTIONS_MAX)
        return STATUS_LIMIT;
    e.rules = arena_take(arena, count, sizeof(*e.rules));
    if (e.rules == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        e.rules[i] = rules[i];
        if (rules[i].reply.code == 0)
            e.rules[i].reply = (struct policy_reply){ POLICY_EXCEPTION_REJECT_CODE,
                                                      SLICE(POLICY_EXCEPTION_REJECT_TEXT) };
        if (e.rules[i].reply.code < 400 || e.rules[i].reply.code > 599 ||
            !policy_reply_text_is_valid(e.rules[i].reply.text))
            return STATUS_INVALID;
        if (!arena_copy(arena, e.rules[i].reply.text, &e.rules[i].reply.text))
            return STATUS_NO_MEMORY;
    }
    TRY(build_table(arena, patterns, count, &e.table));
    b->snapshot->exceptions = e;
    return STATUS_OK;
}

enum status policy_builder_add_bounce_profile(struct policy_builder *b,
                                              const struct policy_bounce_profile *profile,
                                              const struct policy_bounce_profile **profile_out)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_bounce_profile *copy = arena_take(arena, 1, sizeof(*copy));

    if (copy == NULL)
        return STATUS_NO_MEMORY;
    *copy = *profile;
    if (!arena_copy(arena, profile->name, &copy->name) ||
        !arena_copy(arena, profile->bounces_to, &copy->bounces_to))
        return STATUS_NO_MEMORY;
    *profile_out = copy;
    return STATUS_OK;
}

enum status policy_builder_add_hat(struct policy_builder *b, struct slice name,
                                   struct policy_hat_draft **hat_out)
{
    struct hat_link *link = arena_take(&b->scratch, 1, sizeof(*link));

    if (link == NULL)
        return STATUS_NO_MEMORY;
    TRY(policy_hat_draft_create(name, &b->snapshot->arena, &b->scratch, &link->draft));
    APPEND(b->hats, b->hats_last, link);
    *hat_out = link->draft;
    return STATUS_OK;
}

enum status policy_builder_add_hat_row(struct policy_builder *b, struct policy_hat_draft *hat,
                                       struct slice group, const struct policy_mail_flow *flow)
{
    ASSERT(b->snapshot != NULL);
    return policy_hat_draft_add_row(hat, group, flow);
}

enum status policy_builder_add_hat_entry(struct policy_builder *b, struct policy_hat_draft *hat,
                                         struct slice text)
{
    ASSERT(b->snapshot != NULL);
    return policy_hat_draft_add_entry(hat, text);
}

enum status policy_builder_add_rat(struct policy_builder *b, struct slice name,
                                   struct policy_rat_draft **rat_out)
{
    struct policy_rat_draft *rat = arena_take(&b->scratch, 1, sizeof(*rat));

    if (rat == NULL || !arena_copy(&b->snapshot->arena, name, &rat->name))
        return STATUS_NO_MEMORY;
    APPEND(b->rats, b->rats_last, rat);
    *rat_out = rat;
    return STATUS_OK;
}

enum status policy_builder_add_rat_entry(struct policy_builder *b, struct policy_rat_draft *rat,
                                         struct slice text, const struct policy_rat_rule *rule)
{
    struct arena *arena = &b->snapshot->arena;
    struct recipient_link *link;
    struct policy_reply *reply;

    if (rat->entries_count >= POLICY_RAT_ENTRIES_MAX)
        return STATUS_LIMIT;
    if (policy_address_form(text) == POLICY_ADDRESS_INVALID)
        return STATUS_INVALID;
    link = arena_take(&b->scratch, 1, sizeof(*link));
    if (link == NULL)
        return STATUS_NO_MEMORY;
    link->entry.rule = *rule;
    reply = &link->entry.rule.reply;
    if (reply->code == 0)
        *reply = (struct policy_reply){ POLICY_RAT_REJECT_CODE, SLICE(POLICY_RAT_REJECT_TEXT) };
    if (reply->code < 400 || reply->code > 599 || !policy_reply_text_is_valid(reply->text))
        return STATUS_INVALID;
    if (!arena_copy(arena, reply->text, &reply->text) ||
        !arena_copy(arena, text, &link->entry.text))
        return STATUS_NO_MEMORY;
    APPEND(rat->entries, rat->entries_last, link);
    rat->entries_count++;
    return STATUS_OK;
}

enum status policy_builder_set_destination_default(struct policy_builder *b,
                                                   const struct policy_destination *destination)
{
    struct slice name = b->snapshot->destination_default.name;

    b->snapshot->destination_default = *destination;
    b->snapshot->destination_default.name = name;
    return STATUS_OK;
}

enum status policy_builder_add_destination(struct policy_builder *b,
                                           const struct policy_destination *destination)
{
    struct destination_link *link;

    if (!policy_domain_is_valid(destination->name) && !policy_domain_is_partial(destination->name))
        return STATUS_INVALID;
    if (b->snapshot->destinations_count >= POLICY_DESTINATION_ENTRIES_MAX)
        return STATUS_LIMIT;
    link = arena_take(&b->scratch, 1, sizeof(*link));
    if (link == NULL)
        return STATUS_NO_MEMORY;
    link->destination = *destination;
    if (!arena_copy(&b->snapshot->arena, destination->name, &link->destination.name))
        return STATUS_NO_MEMORY;
    APPEND(b->destinations, b->destinations_last, link);
    b->snapshot->destinations_count++;
    return STATUS_OK;
}

static enum status copy_host(struct arena *arena, const struct policy_route_host *host,
                             struct policy_route_host *copy)
{
    *copy = *host;
    return arena_copy(arena, host->text, &copy->text) && arena_copy(arena, host->host, &copy->host)
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

enum status policy_builder_add_route(struct policy_builder *b, const struct policy_route *route)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_route_host *hosts;
    struct route_link *link;

    if (!policy_domain_is_valid(route->name) && !policy_domain_is_partial(route->name) &&
        !slice_is_word(route->name, "ALL"))
        return STATUS_INVALID;
    if ((route->hosts_count == 0) == (route->action == POLICY_ROUTE_HOSTS))
        return STATUS_INVALID;
    if (route->hosts_count > POLICY_ROUTE_HOSTS_MAX ||
        b->snapshot->routes_count >= POLICY_ROUTE_ENTRIES_MAX)
        return STATUS_LIMIT;
    link = arena_take(&b->scratch, 1, sizeof(*link));
    hosts = arena_take(arena, route->hosts_count, sizeof(*hosts));
    if (link == NULL || hosts == NULL || !arena_copy(arena, route->name, &link->route.name))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < route->hosts_count; i++)
        TRY(copy_host(arena, &route->hosts[i], &hosts[i]));
    link->route.action = route->action;
    link->route.hosts = hosts;
    link->route.hosts_count = route->hosts_count;
    APPEND(b->routes, b->routes_last, link);
    b->snapshot->routes_count++;
    return STATUS_OK;
}

static enum status finish_hats(struct policy_builder *b)
{
    struct policy_hat **next = &b->snapshot->hats;

    for (const struct hat_link *l = b->hats; l != NULL; l = l->next) {
        TRY(policy_hat_draft_finish(l->draft, next));
        next = &(*next)->next;
    }
    return STATUS_OK;
}

static enum status finish_rats(struct policy_builder *b)
{
    struct arena *arena = &b->snapshot->arena;
    struct policy_rat **next = &b->snapshot->rats;

    for (const struct policy_rat_draft *d = b->rats; d != NULL; d = d->next) {
        struct policy_rat *rat = arena_take(arena, 1, sizeof(*rat));
        size_t entry = 0;

        if (rat == NULL)
            return STATUS_NO_MEMORY;
        *rat = (struct policy_rat){ .name = d->name, .entries_count = d->entries_count };
        rat->entries = arena_take(arena, d->entries_count, sizeof(*rat->entries));
        if (rat->entries == NULL)
            return STATUS_NO_MEMORY;
        for (const struct recipient_link *e = d->entries; e != NULL; e = e->next)
            rat->entries[entry++] = e->entry;
        TRY(policy_rat_compile(rat, arena));
        *next = rat;
        next = &rat->next;
    }
    return STATUS_OK;
}

static enum status finish_destinations(struct policy_builder *b)
{
    struct policy_snapshot *s = b->snapshot;
    size_t count = 0;

    if (s->destination_default.bounce_profile == NULL) {
        struct policy_bounce_profile profile = policy_bounce_profile_default();

        TRY(policy_builder_add_bounce_profile(b, &profile, &s->destination_default.bounce_profile));
    }
    s->destinations = arena_take(&s->arena, s->destinations_count, sizeof(*s->destinations));
    if (s->destinations == NULL ||
        !policy_domain_map_init(&s->destinations_map, &s->arena, s->destinations_count))
        return STATUS_NO_MEMORY;
    for (const struct destination_link *l = b->destinations; l != NULL; l = l->next) {
        struct policy_destination *d = &s->destinations[count];

        *d = l->destination;
        if (d->bounce_profile == NULL)
            d->bounce_profile = s->destination_default.bounce_profile;
        policy_domain_map_add(&s->destinations_map, policy_domain_normal(d->name), count++);
    }
    return STATUS_OK;
}

static enum status finish_routes(struct policy_builder *b)
{
    struct policy_snapshot *s = b->snapshot;
    size_t count = 0;

    s->routes = arena_take(&s->arena, s->routes_count, sizeof(*s->routes));
    if (s->routes == NULL || !policy_domain_map_init(&s->routes_map, &s->arena, s->routes_count))
        return STATUS_NO_MEMORY;
    for (const struct route_link *l = b->routes; l != NULL; l = l->next) {
        struct policy_route *r = &s->routes[count];

        *r = l->route;
        if (!slice_is_word(r->name, "ALL"))
            policy_domain_map_add(&s->routes_map, policy_domain_normal(r->name), count);
        else if (s->route_all == NULL)
            s->route_all = r;
        count++;
    }
    return STATUS_OK;
}

enum status policy_builder_finish(struct policy_builder *b, struct policy_snapshot **snapshot_out)
{
    ASSERT(b->snapshot != NULL);
    TRY(finish_hats(b));
    TRY(finish_rats(b));
    TRY(finish_destinations(b));
    TRY(finish_routes(b));
    *snapshot_out = b->snapshot;
    b->snapshot = NULL;
    return STATUS_OK;
}
