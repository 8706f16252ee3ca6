#include "cli/load_stats.h"

#include <stdio.h>

static void keep_text(struct load_error *e, struct slice text)
{
    size_t len = text.len < LOAD_ERROR_TEXT_MAX - 1 ? text.len : LOAD_ERROR_TEXT_MAX - 1;

    for (size_t i = 0; i < len; i++)
        e->text[i] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    e->text[len] = '\0';
}

static void add(struct load_errors *errors, unsigned code, uint64_t count, struct slice text)
{
    struct load_error *e;

    for (size_t i = 0; i < errors->count; i++) {
        if (errors->items[i].code == code) {
            errors->items[i].count += count;
            return;
        }
    }
    if (errors->count == LOAD_ERRORS_MAX) {
        /* The last place collects what has none of its own. */
        errors->items[LOAD_ERRORS_MAX - 1].count += count;
        return;
    }
    e = &errors->items[errors->count++];
    e->code = (uint16_t)(errors->count < LOAD_ERRORS_MAX ? code : LOAD_ERROR_OTHER);
    e->count = count;
    keep_text(e, text);
}

void load_stats_error(struct load_stats *s, unsigned code, struct slice text)
{
    atomic_fetch_add_explicit(&s->tallies.errors, 1, memory_order_relaxed);
    add(&s->errors, code, 1, text);
}

static void merge_tally(_Atomic uint64_t *into, const _Atomic uint64_t *from)
{
    atomic_fetch_add(into, atomic_load(from));
}

void load_stats_merge(struct load_stats *into, const struct load_stats *from)
{
    merge_tally(&into->tallies.accepted, &from->tallies.accepted);
    merge_tally(&into->tallies.failed, &from->tallies.failed);
    merge_tally(&into->tallies.errors, &from->tallies.errors);
    merge_tally(&into->tallies.ready, &from->tallies.ready);
    into->recipients_refused += from->recipients_refused;
    into->sessions_opened += from->sessions_opened;
    into->sessions_tls += from->sessions_tls;
    into->sessions_given_up += from->sessions_given_up;
    into->bytes += from->bytes;
    if (from->ended_ns > into->ended_ns)
        into->ended_ns = from->ended_ns;
    load_histogram_merge(&into->session_us, &from->session_us);
    load_histogram_merge(&into->message_us, &from->message_us);
    load_histogram_merge(&into->dot_us, &from->dot_us);
    for (size_t i = 0; i < from->errors.count; i++)
        add(&into->errors, from->errors.items[i].code, from->errors.items[i].count,
            slice_from(from->errors.items[i].text));
    if (into->tls[0] == '\0')
        (void)snprintf(into->tls, sizeof(into->tls), "%s", from->tls);
}

const char *load_error_name(unsigned code)
{
    switch ((enum load_error_code)code) {
    case LOAD_ERROR_OTHER: return "other";
    case LOAD_ERROR_CONNECT: return "connect";
    case LOAD_ERROR_LOST: return "lost";
    case LOAD_ERROR_TIMEOUT: return "timeout";
    case LOAD_ERROR_PROTOCOL: return "protocol";
    case LOAD_ERROR_TLS: return "tls";
    case LOAD_ERROR_INTERRUPTED: return "interrupted";
    case LOAD_ERROR_MEMORY: return "memory";
    }
    return NULL;
}
