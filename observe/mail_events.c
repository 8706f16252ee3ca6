#include "observe/mail_events.h"

#include "base/clock.h"
#include "observe/line.h"
#include "observe/status_words.h"

/* Each shape reads as it is written. A piece is one of these calls; the line goes into the ring
 * with end(). */

static struct observe_line *begin(struct observe_log_writer *w, time_t now_s, const char *text,
                                  uint64_t id)
{
    struct observe_line *l = observe_log_begin(w, OBSERVE_INFO, now_s);

    observe_line_text(l, text);
    observe_line_number(l, id);
    return l;
}

static void end(struct observe_log_writer *w)
{
    observe_log_end(w);
}

static void text(struct observe_line *l, const char *before, struct slice value)
{
    observe_line_text(l, before);
    observe_line_escaped(l, value);
}

static void text_or(struct observe_line *l, const char *before, struct slice value,
                    const char *if_empty)
{
    text(l, before, value.len > 0 ? value : slice_from(if_empty));
}

static void number(struct observe_line *l, const char *before, uint64_t value)
{
    observe_line_text(l, before);
    observe_line_number(l, value);
}

static void address(struct observe_line *l, const char *before, struct slice value)
{
    text(l, before, value);
    observe_line_text(l, ">");
}

/* A reply code always has three digits; "000" stands for none. */
static void code(struct observe_line *l, unsigned value)
{
    char digits[] = { (char)('0' + value / 100 % 10), (char)('0' + value / 10 % 10),
                      (char)('0' + value % 10) };

    observe_line_escaped(l, (struct slice){ digits, sizeof(digits) });
}

/* "[0, 1]" */
static void rid_list(struct observe_line *l, const char *before, struct observe_rids rids)
{
    observe_line_text(l, before);
    for (size_t i = 0; i < rids.count; i++)
        number(l, i == 0 ? "[" : ", ", rids.rids[i]);
    observe_line_text(l, "]");
}

/* Takes the rids of the next line off the list. */
static struct observe_rids take_rids(struct observe_rids *rest)
{
    struct observe_rids now = { rest->rids, rest->count < OBSERVE_RIDS_PER_LINE_MAX
                                                ? rest->count
                                                : OBSERVE_RIDS_PER_LINE_MAX };

    rest->rids += now.count;
    rest->count -= now.count;
    return now;
}

/* Inbound connections */

void observe_icid_new(struct observe_log_writer *w, time_t now_s, const struct observe_icid_new *e)
{
    struct observe_line *l = begin(w, now_s, "New SMTP ICID ", e->icid);

    text(l, " interface ", e->interface_name);
    text(l, " (", e->interface_ip);
    text(l, ") address ", e->address);
    text_or(l, " reverse dns host ", e->reverse_name, "unknown");
    observe_line_text(l, e->verified ? " verified yes" : " verified no");
    end(w);
}

void observe_icid_access(struct observe_log_writer *w, time_t now_s,
                         const struct observe_icid_access *e)
{
    static const char *const words[] = {
        [OBSERVE_ACCEPT] = " ACCEPT",
        [OBSERVE_RELAY] = " RELAY",
        [OBSERVE_REJECT] = " REJECT",
        [OBSERVE_TCPREFUSE] = " TCPREFUSE",
    };
    struct observe_line *l = begin(w, now_s, "ICID ", e->icid);

    ASSERT((size_t)e->access < ARRAY_LEN(words));
    observe_line_text(l, words[e->access]);
    text_or(l, " SG ", e->group, "None");
    if (e->match.len > 0)
        text(l, " match ", e->match);
    text_or(l, " SBRS ", e->sbrs, "not enabled");
    text_or(l, " country ", e->country, "not enabled");
    end(w);
}

static void tls_words(struct observe_line *l, struct slice protocol, struct slice cipher)
{
    text(l, " TLS success protocol ", protocol);
    text(l, " cipher ", cipher);
}

static void tls_failed(struct observe_log_writer *w, time_t now_s, const char *who, uint64_t id,
                       struct slice reason)
{
    text(begin(w, now_s, who, id), reason.len > 0 ? " TLS failed: " : " TLS failed", reason);
    end(w);
}

void observe_icid_tls_success(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                              struct slice protocol, struct slice cipher)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    tls_words(l, protocol, cipher);
    end(w);
}

void observe_icid_tls_failed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                             struct slice reason)
{
    tls_failed(w, now_s, "ICID ", icid, reason);
}

void observe_icid_tls_missing(struct observe_log_writer *w, time_t now_s, uint64_t icid)
{
    observe_line_text(begin(w, now_s, "ICID ", icid),
                      " TLS was required but remote host did not initiate it");
    end(w);
}

void observe_icid_lost(struct observe_log_writer *w, time_t now_s, uint64_t icid)
{
    observe_line_text(begin(w, now_s, "ICID ", icid), " lost");
    end(w);
}

void observe_icid_close(struct observe_log_writer *w, time_t now_s, uint64_t icid)
{
    observe_line_text(begin(w, now_s, "ICID ", icid), " close");
    end(w);
}

void observe_icid_receiving_failed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                   struct slice reason)
{
    text(begin(w, now_s, "ICID ", icid), " Receiving Failed: ", reason);
    end(w);
}

void observe_icid_unknown_command(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                  struct slice line)
{
    text(begin(w, now_s, "ICID ", icid), " Unknown command: ", line);
    end(w);
}

void observe_icid_bad_syntax(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                             struct slice line)
{
    text(begin(w, now_s, "ICID ", icid), " Bad syntax for command: ", line);
    end(w);
}

void observe_icid_disconnected(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                               struct slice peer, struct slice reason)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    text(l, " disconnected address ", peer);
    text(l, ", ", reason);
    end(w);
}

void observe_icid_client_certificate(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                     struct slice name, struct slice verdict)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    text_or(l, " TLS client certificate ", name, "without a name");
    text(l, ": ", verdict);
    end(w);
}

void observe_icid_sender_allowed(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                 struct slice sender)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    address(l, " Address: <", sender);
    observe_line_text(l, " sender allowed, envelope sender matched domain exception");
    end(w);
}

void observe_icid_delayed_reject(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                 const char *what, struct slice mailbox, struct slice ip)
{
    size_t len = strlen(what);
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    observe_line_text(l, " Delayed HAT REJECT ");
    observe_line_text(l, what);
    if (len > 0 && what[len - 1] == ' ')
        address(l, "<", mailbox);
    else if (mailbox.len > 0)
        text(l, " ", mailbox);
    text(l, " (", ip);
    observe_line_text(l, ")");
    end(w);
}

void observe_icid_harvest(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                          struct slice ip, struct slice group)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    text(l, " Dropping connection due to potential Directory Harvest Attack from host=(", ip);
    text_or(l, "), sender_group=", group, "None");
    end(w);
}

void observe_icid_sender_rejected(struct observe_log_writer *w, time_t now_s, uint64_t icid,
                                  struct slice sender, struct slice reason)
{
    struct observe_line *l = begin(w, now_s, "ICID ", icid);

    address(l, " Address: <", sender);
    text(l, " sender rejected, ", reason);
    end(w);
}

/* Messages */

void observe_mid_start(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid)
{
    number(begin(w, now_s, "Start MID ", mid), " ICID ", icid);
    end(w);
}

void observe_mid_from(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                      struct slice sender)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    number(l, " ICID ", icid);
    address(l, " From: <", sender);
    end(w);
}

void observe_mid_to(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                    uint64_t rid, struct slice recipient)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    number(l, " ICID ", icid);
    number(l, " RID ", rid);
    address(l, " To: <", recipient);
    end(w);
}

void observe_mid_rejected(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t icid,
                          struct slice recipient, const char *by)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    number(l, " ICID ", icid);
    address(l, " To: <", recipient);
    observe_line_text(l, " Rejected by ");
    observe_line_text(l, by);
    end(w);
}

void observe_mid_message_id(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                            struct slice message_id)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    observe_line_text(l, " Message-ID ");
    observe_line_quoted(l, message_id);
    end(w);
}

void observe_mid_ready(struct observe_log_writer *w, time_t now_s, uint64_t mid, uint64_t bytes,
                       struct slice sender)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    number(l, " ready ", bytes);
    address(l, " bytes from <", sender);
    end(w);
}

void observe_mid_queued(struct observe_log_writer *w, time_t now_s, uint64_t mid)
{
    observe_line_text(begin(w, now_s, "MID ", mid), " queued for delivery");
    end(w);
}

void observe_mid_aborted(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                         struct slice reason)
{
    text_or(begin(w, now_s, "Message aborted MID ", mid), " ", reason, "Receiving aborted");
    end(w);
}

void observe_mid_bounce_generated(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                  uint64_t bounced_mid)
{
    observe_mid_notice_generated(w, now_s, mid, "bounce", bounced_mid);
}

void observe_mid_notice_generated(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                  const char *what, uint64_t told_mid)
{
    struct observe_line *l = begin(w, now_s, "MID ", mid);

    observe_line_text(l, " generated for ");
    observe_line_text(l, what);
    number(l, " of MID ", told_mid);
    end(w);
}

void observe_mid_finished(struct observe_log_writer *w, time_t now_s, uint64_t mid)
{
    observe_line_text(begin(w, now_s, "Message finished MID ", mid), " done");
    end(w);
}

/* Outbound connections */

void observe_dcid_new(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                      struct slice interface_ip, struct slice peer, uint16_t port)
{
    struct observe_line *l = begin(w, now_s, "New SMTP DCID ", dcid);

    text(l, " interface ", interface_ip);
    text(l, " address ", peer);
    number(l, " port ", port);
    end(w);
}

void observe_dcid_tls_success(struct observe_log_writer *w, time_t now_s,
                              const struct observe_tls *tls)
{
    struct observe_line *l = begin(w, now_s, "DCID ", tls->dcid);

    tls_words(l, tls->protocol, tls->cipher);
    if (tls->verified.len > 0) {
        text(l, " verified by ", tls->authority);
        text(l, ": ", tls->verified);
    }
    end(w);
}

void observe_dcid_tls_failed(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                             struct slice reason)
{
    tls_failed(w, now_s, "DCID ", dcid, reason);
}

void observe_dcid_tls_unverified(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                                 struct slice reason)
{
    text(begin(w, now_s, "DCID ", dcid), " TLS deferring: verify error: ", reason);
    end(w);
}

void observe_dcid_tls_required(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                               struct slice peer)
{
    struct observe_line *l = begin(w, now_s, "DCID ", dcid);

    text(l, " IP ", peer);
    observe_line_text(l, " TLS was required but could not be successfully negotiated");
    end(w);
}

void observe_dcid_error(struct observe_log_writer *w, time_t now_s,
                        const struct observe_dcid_error *e)
{
    struct observe_line *l = begin(w, now_s, "Connection Error: DCID ", e->dcid);

    text(l, " domain: ", e->domain);
    text(l, " IP: ", e->address);
    number(l, " port: ", e->port);
    observe_line_text(l, " details: ");
    if (e->code != 0) {
        code(l, e->code);
        observe_line_text(l, "-");
        observe_line_quoted(l, e->details);
    } else {
        observe_line_escaped(l, e->details);
    }
    text(l, " interface: ", e->interface_ip);
    text(l, " reason: ", e->reason);
    end(w);
}

void observe_dcid_close(struct observe_log_writer *w, time_t now_s, uint64_t dcid)
{
    observe_line_text(begin(w, now_s, "DCID ", dcid), " close");
    end(w);
}

/* Delivery */

static void delivery(struct observe_log_writer *w, time_t now_s, const char *what, uint64_t dcid,
                     uint64_t mid, struct observe_rids rids)
{
    while (rids.count > 0) {
        struct observe_line *l = begin(w, now_s, what, dcid);

        number(l, " MID ", mid);
        rid_list(l, " to RID ", take_rids(&rids));
        end(w);
    }
}

void observe_delivery_start(struct observe_log_writer *w, time_t now_s, uint64_t dcid, uint64_t mid,
                            struct observe_rids rids)
{
    delivery(w, now_s, "Delivery start DCID ", dcid, mid, rids);
}

/* In the form in which AsyncOS appends the headers that it was told to log. */
static void tls_facts(struct observe_line *l, const struct observe_tls *tls)
{
    text(l, " [('TLS', '", tls->protocol);
    text(l, "'), ('Cipher', '", tls->cipher);
    text(l, "'), ('Verified', '", tls->verified.len > 0 ? tls->verified : SLICE("no"));
    text(l, "'), ('Policy', '", tls->authority);
    observe_line_text(l, "')]");
}

void observe_delivery_done(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                           struct observe_rids rids, const struct observe_tls *tls)
{
    while (rids.count > 0) {
        struct observe_line *l = begin(w, now_s, "Message done DCID ", tls->dcid);

        number(l, " MID ", mid);
        rid_list(l, " to RID ", take_rids(&rids));
        if (tls->protocol.len > 0)
            tls_facts(l, tls);
        end(w);
    }
}

void observe_delivery_response(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                               struct observe_rids rids, struct slice reply)
{
    while (rids.count > 0) {
        struct observe_line *l = begin(w, now_s, "MID ", mid);

        rid_list(l, " RID ", take_rids(&rids));
        observe_line_text(l, " Response ");
        observe_line_quoted(l, reply);
        end(w);
    }
}

/* "('550', ['first line', 'second line'])" */
static void reply_list(struct observe_line *l, const struct observe_reply *reply)
{
    struct slice rest = reply->text;

    observe_line_text(l, " ('");
    code(l, reply->code);
    observe_line_text(l, "', [");
    do {
        observe_line_quoted(l, slice_cut(&rest, '\n'));
        observe_line_text(l, rest.len > 0 ? ", " : "");
    } while (rest.len > 0);
    observe_line_text(l, "])");
}

/* What AsyncOS assumes of a reply without an enhanced status. */
static struct slice enhanced_or(const struct observe_reply *reply, bool permanent)
{
    if (reply->enhanced.len > 0)
        return reply->enhanced;
    if (reply->code == 0)
        return permanent ? SLICE("5.4.0") : SLICE("4.4.0");
    if (reply->code == 431 || reply->code == 452)
        return permanent ? SLICE("5.3.1") : SLICE("4.3.1");
    return permanent ? SLICE("5.1.0") : SLICE("4.1.0");
}

static void delivery_failed(struct observe_log_writer *w, time_t now_s, const char *what,
                            uint64_t dcid, uint64_t mid, uint64_t rid, struct slice enhanced,
                            const struct observe_reply *reply)
{
    struct observe_line *l = begin(w, now_s, what, dcid);

    number(l, " MID ", mid);
    number(l, " to RID ", rid);
    text(l, " - ", enhanced);
    observe_line_text(l, " - ");
    observe_line_text(l, observe_status_words(enhanced));
    reply_list(l, reply);
    observe_line_text(l, " []"); /* AsyncOS: headers that are configured to be logged */
    end(w);
}

void observe_delivery_bounced(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                              uint64_t mid, uint64_t rid, const struct observe_reply *reply)
{
    delivery_failed(w, now_s, "Bounced: DCID ", dcid, mid, rid, enhanced_or(reply, true), reply);
}

void observe_delivery_delayed(struct observe_log_writer *w, time_t now_s, uint64_t dcid,
                              uint64_t mid, uint64_t rid, const struct observe_reply *reply)
{
    delivery_failed(w, now_s, "Delayed: DCID ", dcid, mid, rid, enhanced_or(reply, false), reply);
}

void observe_delivery_double_bounce(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                                    uint64_t rid, const struct observe_reply *reply)
{
    struct observe_line *l = begin(w, now_s, "Double bounce: MID ", mid);
    struct slice enhanced = enhanced_or(reply, true);

    number(l, " to RID ", rid);
    text(l, " - ", enhanced);
    observe_line_text(l, " - ");
    observe_line_text(l, observe_status_words(enhanced));
    if (reply->code != 0) {
        observe_line_text(l, " ");
        code(l, reply->code);
        observe_line_text(l, "-");
        observe_line_quoted(l, reply->text);
    }
    end(w);
}

void observe_delivery_deleted(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                              struct observe_rids rids)
{
    while (rids.count > 0) {
        struct observe_line *l = begin(w, now_s, "Deleted: MID ", mid);

        rid_list(l, " to ", take_rids(&rids));
        end(w);
    }
}

void observe_delivery_pending(struct observe_log_writer *w, time_t now_s, uint64_t mid,
                              struct observe_rids rids, time_t until_s)
{
    char date[CLOCK_DATE_MAX];

    (void)clock_format_log(until_s, date);
    while (rids.count > 0) {
        struct observe_line *l = begin(w, now_s, "Message ", mid);

        rid_list(l, " to RID ", take_rids(&rids));
        observe_line_text(l, " pending till ");
        observe_line_text(l, date);
        end(w);
    }
}
