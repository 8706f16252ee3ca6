#include "gateway/queue_view.h"

#include "base/json.h"
#include "gateway/worker.h"

void gateway_queue_facts(const struct gateway_item *item, struct gateway_queue_facts *facts_out)
{
    const struct gateway_message *m = gateway_item_message(item);

    *facts_out = (struct gateway_queue_facts){
        .mid = m->mid,
        .arrival_wall_s = m->arrival_wall_s,
        .domain = gateway_item_domain(item),
        .sender = gateway_message_sender(m),
        .is_held = gateway_item_is_held(item),
    };
}

static void let_go(struct gateway_message *m, bool is_held)
{
    if (is_held)
        gateway_message_let_go(m);
}

static void begin(struct json_writer *j, const char *kind, struct buffer *to)
{
    json_init(j, to);
    json_open_object(j);
    json_member_text(j, "kind", slice_from(kind));
}

static enum status end(struct json_writer *j, struct buffer *to)
{
    json_close(j);
    TRY(json_finish(j));
    return buffer_append(to, SLICE("\n"));
}

static uint64_t no_less_than_0(int64_t number)
{
    return number > 0 ? (uint64_t)number : 0;
}

static void write_why(struct json_writer *j, const struct gateway_queue_why *why)
{
    json_member_number(j, "attempts", why->attempts);
    json_member_number(j, "attempts_max", why->attempts_max);
    json_member_text(j, "reason", slice_from(why->reason));
    json_member_text(j, "why", slice_from(why->text));
    json_member_number(j, "until", no_less_than_0(why->until_s));
    json_member_number(j, "expires", no_less_than_0(why->expires_s));
}

enum status gateway_queue_write_entry(struct gateway_worker *w, const struct gateway_item *item,
                                      struct buffer *to)
{
    struct gateway_message *m = gateway_item_message(item);
    bool is_in_memory = gateway_message_hold(m);
    struct gateway_queue_why why;
    struct json_writer j;

    gateway_queue_why(w, item, &why);
    begin(&j, "entry", to);
    json_member_number(&j, "mid", m->mid);
    json_member_text(&j, "domain", gateway_item_domain(item));
    json_member_text(&j, "sender", gateway_message_sender(m));
    if (item->waiting_count > 0 && is_in_memory)
        json_member_text(&j, "to",
                         spool_message_recipient(m->spool, gateway_item_waiting(item)[0]));
    let_go(m, is_in_memory);
    json_member_number(&j, "recipients", item->waiting_count);
    json_member_number(&j, "size", gateway_message_size(m));
    json_member_number(&j, "arrived", no_less_than_0(m->arrival_wall_s));
    write_why(&j, &why);
    return end(&j, to);
}

enum status gateway_queue_write_message(const struct gateway_item *item, struct buffer *to)
{
    static const struct {
        const char *name;
        enum spool_info info;
    } infos[] = {
        { "client_ip", SPOOL_INFO_CLIENT_IP },
        { "client_name", SPOOL_INFO_CLIENT_NAME },
        { "helo", SPOOL_INFO_HELO },
        { "group", SPOOL_INFO_GROUP },
        { "tls", SPOOL_INFO_TLS },
    };
    struct gateway_message *m = gateway_item_message(item);
    bool is_in_memory = gateway_message_hold(m);
    struct json_writer j;

    begin(&j, "message", to);
    json_member_number(&j, "mid", m->mid);
    json_member_text(&j, "sender", gateway_message_sender(m));
    json_member_number(&j, "size", gateway_message_size(m));
    json_member_number(&j, "arrived", no_less_than_0(m->arrival_wall_s));
    json_member_text(&j, "listener", gateway_message_listener(m));
    for (size_t i = 0; i < ARRAY_LEN(infos) && is_in_memory; i++)
        json_member_text(&j, infos[i].name, spool_message_info(m->spool, infos[i].info));
    if (is_in_memory) {
        json_name(&j, "bounce");
        json_bool(&j, (spool_message_flags(m->spool) & SPOOL_MESSAGE_BOUNCE) != 0);
    }
    let_go(m, is_in_memory);
    json_member_number(&j, "recipients", m->recipients_count);
    return end(&j, to);
}

enum status gateway_queue_write_recipient(const struct gateway_item *item, unsigned place,
                                          const struct gateway_queue_why *why, struct buffer *to)
{
    struct gateway_message *m = gateway_item_message(item);
    bool is_in_memory = gateway_message_hold(m);
    char last[GATEWAY_QUEUE_WHY_MAX];
    uint32_t rid = gateway_item_waiting(item)[place];
    struct json_writer j;

    gateway_queue_last_words(gateway_item_last_failure(item, rid), last, sizeof(last));
    begin(&j, "recipient", to);
    json_member_number(&j, "mid", m->mid);
    json_member_number(&j, "rid", rid);
    if (is_in_memory)
        json_member_text(&j, "address", spool_message_recipient(m->spool, rid));
    let_go(m, is_in_memory);
    json_member_text(&j, "domain", gateway_item_domain(item));
    write_why(&j, why);
    json_member_text(&j, "last", slice_from(last));
    return end(&j, to);
}

enum status gateway_queue_write_destination(struct gateway_worker *w, struct slice domain,
                                            const struct gateway_queue_load *load,
                                            struct buffer *to)
{
    const struct delivery_destination *d = delivery_scheduler_find(w->dispatch.scheduler, domain);
    uint64_t now_ms = gateway_worker_now_ms(w), until_s = 0;
    struct delivery_destination_state state = { 0 };
    char trouble[GATEWAY_DISPATCH_TROUBLE_MAX] = "";
    const char *hosts = "unknown"; /* none has been asked for yet */
    struct json_writer j;

    if (d != NULL) {
        delivery_destination_describe(d, &state);
        gateway_queue_trouble(d, trouble, sizeof(trouble));
        if (state.is_down && state.down_until_ms > now_ms) {
            hosts = "down";
            until_s =
                (uint64_t)gateway_worker_now_s(w) + (state.down_until_ms - now_ms + 999) / 1000;
        } else if (state.endpoints > 0 && !state.is_down) {
            hosts = "up";
        }
    }
    begin(&j, "destination", to);
    json_member_text(&j, "domain", domain);
    json_member_number(&j, "entries", load->entries);
    json_member_number(&j, "recipients", load->recipients);
    json_member_number(&j, "held", load->held);
    json_member_number(&j, "oldest", no_less_than_0(load->oldest_s));
    json_member_text(&j, "hosts", slice_from(hosts));
    json_member_number(&j, "until", until_s);
    json_member_text(&j, "trouble", slice_from(trouble));
    json_member_number(&j, "connections", state.connections);
    json_member_number(&j, "delivered", state.counts.delivered);
    json_member_number(&j, "deferred", state.counts.soft);
    json_member_number(&j, "bounced", state.counts.hard);
    return end(&j, to);
}
