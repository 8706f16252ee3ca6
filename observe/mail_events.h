/* observe/mail_events.h - one function for each shape of line in an AsyncOS mail log.
 *
 * The exact texts live here and nowhere else, because log parsers and Cisco's findevent depend
 * on every byte of them. ICID: inbound connection, MID: message, RID: recipient within its
 * message from 0, DCID: outbound connection. An ICID or DCID of 0 means there was none.
 *
 * All slices are borrowed for the call. What comes from peers is escaped (observe/maillog.h);
 * quoted texts use the quoting of Python, as AsyncOS does. An empty slice is written as the
 * form says: "None", "unknown" or nothing.
 */
#pragma once
#include "observe/maillog.h"

#define OBSERVE_RIDS_PER_LINE_MAX 128 /* longer lists continue in another line of the same form */

/* Inbound connections */

struct observe_icid_new {
    uint64_t icid;
    struct slice interface_name;
    struct slice interface_ip;
    struct slice address;
    struct slice reverse_name; /* empty: "unknown" */
    bool verified;             /* forward and reverse name agree */
};

enum observe_access { OBSERVE_ACCEPT, OBSERVE_RELAY, OBSERVE_REJECT, OBSERVE_TCPREFUSE };

struct observe_icid_access {
    uint64_t icid;
    enum observe_access access;
    struct slice group;   /* sender group; empty: "None" */
    struct slice match;   /* the HAT entry as configured; empty: "match" is left out */
    struct slice sbrs;    /* empty: "not enabled" */
    struct slice country; /* empty: "not enabled" */
};

void observe_icid_new(struct observe_log_writer *w, time_t now_s, const struct observe_icid_new *e);
void observe_icid_access(struct observe_log_writer *w, time_t now_s,
                         const struct observe_icid_access *e);
void observe_icid_tls_success(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                              struct slice protocol, struct slice cipher);
/* reason: tls_session_error(), or empty: "TLS failed" alone. */
void observe_icid_tls_failed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                             struct slice reason);
/* "TLS client certificate NAME: VERDICT" */
void observe_icid_client_certificate(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                     struct slice name, struct slice verdict);
/* The policy demands TLS and the peer left without STARTTLS. */
void observe_icid_tls_missing(struct observe_log_writer *w, time_t now_s, uint64_t icid);
void observe_icid_lost(struct observe_log_writer *w, time_t now_s, uint64_t icid);
void observe_icid_close(struct observe_log_writer *w, time_t now_s, uint64_t icid);
/* reason: "Message size exceeds limit", "Connection limit exceeded", "Message loop",
 * "Too Many Messages", "Queue...", "Memory...", "Resources Low". */
void observe_icid_receiving_failed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                   struct slice reason);
void observe_icid_unknown_command(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                  struct slice line);
void observe_icid_bad_syntax(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                             struct slice line);
/* "disconnected address IP, REASON": "no messages injected within timeout period" or "exceeded
 * allowable connection time". */
void observe_icid_disconnected(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                               struct slice address, struct slice reason);
/* "Address: <sender> sender rejected, REASON": "envelope sender domain missing"... */
void observe_icid_sender_rejected(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                  struct slice sender, struct slice reason);

/* "Address: <sender> sender allowed, envelope sender matched domain exception" */
void observe_icid_sender_allowed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                 struct slice sender);
/* "Delayed HAT REJECT WHAT ADDRESS (IP)"; the address is in <> where what ends in a space: AsyncOS
 * writes recipients so, and senders without. */
void observe_icid_delayed_reject(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                 const char *what, struct slice address, struct slice ip);
/* "Dropping connection due to potential Directory Harvest Attack from host=(...)" */
void observe_icid_harvest(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                          struct slice ip, struct slice group);

/* Messages; sender and recipients without angle brackets, an empty sender is "<>" */

void observe_mid_start(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid);
void observe_mid_from(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                      struct slice sender);
void observe_mid_to(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                    uint64_t rid, struct slice recipient);
/* "MID 1 ICID 2 To: <x> Rejected by RAT"; by: "RAT", "Receiving Control"... */
void observe_mid_rejected(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                          struct slice recipient, const char *by);
void observe_mid_message_id(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                            struct slice message_id); /* with its angle brackets */
void observe_mid_ready(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t bytes,
                       struct slice sender);
void observe_mid_queued(struct observe_log_writer *w, time_t now_s, uint64_t mid);
void observe_mid_aborted(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                         struct slice reason); /* empty: "Receiving aborted" */
void observe_mid_bounce_generated(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                  uint64_t bounced_mid);
/* "MID 13 generated for delay warning of MID 12"; what: "delay warning", "relay report". */
void observe_mid_notice_generated(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                  const char *what, uint64_t told_mid);
void observe_mid_finished(struct observe_log_writer *w, time_t now_s, uint64_t mid);

/* Outbound connections and delivery */

struct observe_rids {
    const uint16_t *rids;
    size_t count; /* > 0 */
};

/* What the other side said, or what went wrong in place of that. */
struct observe_reply {
    unsigned code;         /* SMTP reply code, 0: none was received */
    struct slice enhanced; /* "5.1.0", RFC 3463; empty: made from the code */
    struct slice text;     /* of the reply without its code; lines joined by '\n' */
};

struct observe_dcid_error {
    uint64_t dcid;
    struct slice domain;
    struct slice address;
    uint16_t port;
    unsigned code;        /* 0: details is a word of ours ("EOF", "timeout"), not quoted */
    struct slice details; /* the peer's text without the code */
    struct slice interface_ip;
    struct slice reason; /* "unexpected SMTP response", "network error" */
};

void observe_dcid_new(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                      struct slice interface_ip, struct slice address, uint16_t port);
struct observe_tls {
    uint64_t dcid;
    struct slice protocol, cipher;
    struct slice authority; /* who demanded what there is: "table", "DANE", "MTA-STS" */
    struct slice
        verified; /* what the check of the peer found; empty: there was none, or it failed */
};

/* "TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384", and where the peer was checked
 * " verified by table: matched mx1.example.com (MX host)" */
void observe_dcid_tls_success(struct observe_log_writer *w, time_t now_s,
                              const struct observe_tls *tls);
/* reason: "STARTTLS unexpected response", tls_session_error(), "verify error: ..." */
void observe_dcid_tls_failed(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                             struct slice reason);
/* "TLS deferring: verify error: REASON": not verified, and the rule lets the mail go anyway. */
void observe_dcid_tls_unverified(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                                 struct slice reason);
/* "TLS was required but could not be successfully negotiated" */
void observe_dcid_tls_required(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                               struct slice address);
void observe_dcid_error(struct observe_log_writer *w, time_t now_s,
                        const struct observe_dcid_error *e);
void observe_dcid_close(struct observe_log_writer *w, time_t now_s, uint64_t dcid);

void observe_delivery_start(struct observe_log_writer *w, time_t now_s, uint64_t dcid, uint64_t mid,
                            struct observe_rids rids);
/* With " [('TLS', 'TLSv1.3'), ('Cipher', '...'), ('Verified', 'no'), ('Policy', 'table')]" behind
 * it, as AsyncOS appends logged headers; nothing where tls has no protocol: it went in the clear.
 */
void observe_delivery_done(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                           struct observe_rids rids, const struct observe_tls *tls);
/* text: the reply without its code, "2.0.0 Ok: queued" */
void observe_delivery_response(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                               struct observe_rids rids, struct slice text);
void observe_delivery_bounced(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                              uint64_t mid, uint64_t rid, const struct observe_reply *reply);
void observe_delivery_delayed(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                              uint64_t mid, uint64_t rid, const struct observe_reply *reply);
/* "Double bounce: MID 12 to RID 0 - 5.1.0 - Unknown address error 501-'5.5.4 Invalid Address'" */
void observe_delivery_double_bounce(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                    uint64_t rid, const struct observe_reply *reply);
/* "Deleted: MID 3 to [0]": by an operator. */
void observe_delivery_deleted(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                              struct observe_rids rids);
void observe_delivery_pending(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                              struct observe_rids rids, time_t until_s);
