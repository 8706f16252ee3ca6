/* gateway/tls_report_sending.h - one report on its way: the record of its domain, then each URI.
 *
 *     RECORD (the DNS) -> URI -> MAIL (our spool)            -> URI ... -> OVER
 *                             -> ADDRESSES (the DNS) -> POST -> URI ...
 *
 * A machine without a thread, a clock or a socket: what it needs of the world it begins by a table
 * of operations, and looks at when it is run. RFC 8460: each URI gets the report (3); what failed
 * is tried again within the next 24 hours (5.5), by whoever made the sending.
 */
#pragma once
#include "gateway/own_mail.h"
#include "gateway/tls_report_lookup.h"
#include "gateway/tls_report_part.h"
#include "gateway/tls_report_post.h"
#include "gateway/tls_report_quota.h"
#include "gateway/tls_report_settings.h"
#include "observe/maillog.h"
#include "observe/tls_report.h"

#define GATEWAY_TLS_REPORT_TRIES   7   /* the last one 15 3/4 hours after the first */
#define GATEWAY_TLS_REPORT_RETRY_S 900 /* after the first try; twice as long after each other */

struct gateway_tls_world;

struct gateway_tls_world_ops {
    /* Each begins something whose state tells the rest. False: not possible now. */
    bool (*look_up)(struct gateway_tls_world *world, struct gateway_tls_lookup *lookup);
    bool (*mail)(struct gateway_tls_world *world, struct gateway_own_mail *mail);
    void (*post)(struct gateway_tls_world *world, struct gateway_tls_post *post);
    /* The files of parts. */
    enum status (*store)(struct gateway_tls_world *world, const char *name, struct slice text);
    void (*remove)(struct gateway_tls_world *world, const char *name);
};

struct gateway_tls_world { /* Embedded in who has it. */
    const struct gateway_tls_world_ops *ops;
    struct observe_log_writer *log;
    struct gateway_tls_quota *quota;
    int bell; /* for lookups and mails */
};

enum gateway_tls_sending_step {
    GATEWAY_TLS_SENDING_RECORD,
    GATEWAY_TLS_SENDING_URI,
    GATEWAY_TLS_SENDING_MAIL,
    GATEWAY_TLS_SENDING_ADDRESSES,
    GATEWAY_TLS_SENDING_POST,
    GATEWAY_TLS_SENDING_OVER
};

struct gateway_tls_sending { /* Fields are private. */
    struct list_node node;
    struct gateway_tls_world *world;
    struct gateway_tls_part *part;
    struct gateway_tls_target *target;
    enum gateway_tls_sending_step step;
    bool is_unwanted; /* its domain wants no reports */
    bool has_failed;  /* something that can be tried again */
    size_t uri;       /* that it is at */
    struct observe_tls_record record;
    struct gateway_tls_lookup lookup;
    struct gateway_own_mail mail;
    struct gateway_tls_post post;
    struct ip_address addresses[GATEWAY_TLS_LOOKUP_ADDRESSES_MAX];
    struct slice recipient;
    char sender[CONFIG_ALERT_ADDRESS_BYTES_MAX + 1];
    struct buffer report; /* compressed; empty: not written yet */
    struct buffer letter;
};

/* The target becomes ACTIVE. The part stays until the sending is destroyed. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_tls_sending_create(struct gateway_tls_world *world,
                                                struct gateway_tls_part *part,
                                                struct gateway_tls_target *target,
                                                struct gateway_tls_sending **sending_out);

/* In any state, when no worker's thread runs any more or it is OVER. */
void gateway_tls_sending_destroy(struct gateway_tls_sending *s);

/* As far as it can go now. When it is OVER the target has its next state. Returns whether it is. */
bool gateway_tls_sending_run(struct gateway_tls_sending *s,
                             const struct gateway_tls_report_settings *settings, time_t now_s);

/* Whether it wants something that could not be begun: it is to be run again soon. */
bool gateway_tls_sending_is_held_up(const struct gateway_tls_sending *s);
