#include "observe/counters.h"

#include "base/check.h"

static const char *const names[] = {
    [OBSERVE_CONNECTIONS_IN] = "connections_in",
    [OBSERVE_CONNECTIONS_OUT] = "connections_out",
    [OBSERVE_CONNECTIONS_IN_NOW] = "connections_in_now",
    [OBSERVE_CONNECTIONS_OUT_NOW] = "connections_out_now",
    [OBSERVE_CONNECTIONS_CAPPED] = "connections_capped",
    [OBSERVE_HAT_REJECTED] = "hat_rejected",
    [OBSERVE_HAT_REFUSED] = "hat_refused",
    [OBSERVE_RAT_REJECTED] = "rat_rejected",
    [OBSERVE_RECIPIENTS_LIMITED] = "recipients_limited",
    [OBSERVE_CALL_AHEADS] = "call_aheads",
    [OBSERVE_CALL_AHEAD_CACHED] = "call_ahead_cached",
    [OBSERVE_TLS_IN_SUCCESS] = "tls_in_success",
    [OBSERVE_TLS_IN_FAILED] = "tls_in_failed",
    [OBSERVE_TLS_IN_REQUIRED_MISSED] = "tls_in_required_missed",
    [OBSERVE_TLS_OUT_SUCCESS] = "tls_out_success",
    [OBSERVE_TLS_OUT_FAILED] = "tls_out_failed",
    [OBSERVE_TLS_RESUMED] = "tls_resumed",
    [OBSERVE_KTLS_SEND] = "ktls_send",
    [OBSERVE_KTLS_RECEIVE] = "ktls_receive",
    [OBSERVE_KTLS_UNDECIDED] = "ktls_undecided",
    [OBSERVE_KTLS_SWITCHED_OFF] = "ktls_switched_off",
    [OBSERVE_KTLS_NO_MODULE] = "ktls_no_module",
    [OBSERVE_KTLS_HALF_RECORDS] = "ktls_half_records",
    [OBSERVE_KTLS_VERSION] = "ktls_version",
    [OBSERVE_KTLS_CIPHER] = "ktls_cipher",
    [OBSERVE_KTLS_FRAGMENT] = "ktls_fragment",
    [OBSERVE_KTLS_UPDATED] = "ktls_updated",
    [OBSERVE_KTLS_UNSURE] = "ktls_unsure",
    [OBSERVE_KTLS_REFUSED] = "ktls_refused",
    [OBSERVE_MESSAGES_ACCEPTED] = "messages_accepted",
    [OBSERVE_MESSAGES_ABORTED] = "messages_aborted",
    [OBSERVE_MESSAGES_FINISHED] = "messages_finished",
    [OBSERVE_MESSAGES_NOW] = "messages_now",
    [OBSERVE_MESSAGES_COMPACTED] = "messages_compacted",
    [OBSERVE_RECIPIENTS_ACCEPTED] = "recipients_accepted",
    [OBSERVE_RECIPIENTS_DELIVERED] = "recipients_delivered",
    [OBSERVE_RECIPIENTS_BOUNCED] = "recipients_bounced",
    [OBSERVE_RECIPIENTS_DELETED] = "recipients_deleted",
    [OBSERVE_RECIPIENTS_RETURNED] = "recipients_returned",
    [OBSERVE_RECIPIENTS_HELD_NOW] = "recipients_held_now",
    [OBSERVE_RECIPIENTS_DEFERRED] = "recipients_deferred",
    [OBSERVE_BOUNCES_GENERATED] = "bounces_generated",
    [OBSERVE_BOUNCES_WITHHELD] = "bounces_withheld",
    [OBSERVE_DOUBLE_BOUNCES] = "double_bounces",
    [OBSERVE_DELAY_WARNINGS] = "delay_warnings",
    [OBSERVE_RELAY_REPORTS] = "relay_reports",
    [OBSERVE_BYTES_RECEIVED] = "bytes_received",
    [OBSERVE_BYTES_DELIVERED] = "bytes_delivered",
    [OBSERVE_SPOOL_COMMITS] = "spool_commits",
    [OBSERVE_SPOOL_BYTES] = "spool_bytes",
    [OBSERVE_SPOOL_ERRORS] = "spool_errors",
    [OBSERVE_RESULTS_WAITING_NOW] = "results_waiting_now",
    [OBSERVE_LOG_LINES_LOST] = "log_lines_lost",
    [OBSERVE_RING_ENTERS] = "ring_enters",
    [OBSERVE_RING_COMPLETIONS] = "ring_completions",
    [OBSERVE_SOCKET_RECEIVES] = "socket_receives",
    [OBSERVE_SOCKET_SENDS] = "socket_sends",
    [OBSERVE_ALLOCATED_BYTES] = "allocated_bytes",
};

void observe_counters_init(struct observe_counters *c)
{
    for (size_t i = 0; i < OBSERVE_COUNTERS_COUNT; i++)
        atomic_store_explicit(&c->values[i], 0, memory_order_relaxed);
}

const char *observe_counter_name(enum observe_counter which)
{
    ASSERT((size_t)which < ARRAY_LEN(names) && names[which] != NULL);
    return names[which];
}

void observe_counters_sum(const struct observe_counters *const *sets, size_t count,
                          uint64_t sums_out[static OBSERVE_COUNTERS_COUNT])
{
    for (unsigned which = 0; which < OBSERVE_COUNTERS_COUNT; which++) {
        uint64_t sum = 0;

        for (size_t i = 0; i < count; i++)
            sum += observe_counter_value(sets[i], which);
        /* A gauge that went up on one worker and down on another between two reads. */
        sums_out[which] = (int64_t)sum < 0 ? 0 : sum;
    }
}
