/* gateway/certificate_watch.h - tells of our certificates before they expire.
 *
 * As AsyncOS does it: 90, 60, 30, 15, 5, 4, 3, 2 and 1 days before, and each day from the end on.
 * What is watched is what the TLS contexts in force have loaded, intermediates included, not what
 * lies on the disk: a renewed file that nobody reloaded does not help. A certificate that was
 * replaced is told as recovered.
 *
 * Belongs to the supervisor's thread.
 */
#pragma once
#include "base/clock.h"
#include "config/settings.h"
#include "gateway/generation.h"

struct gateway_alerts;

#define GATEWAY_CERTIFICATE_NAME_MAX 128 /* NUL included; longer names are cut */
#define GATEWAY_CERTIFICATE_LOOK_S   3600

/* How near the end is: the smallest of the numbers of days above that is left at the most.
 * GATEWAY_CERTIFICATE_EXPIRED, or GATEWAY_CERTIFICATE_FAR. */
#define GATEWAY_CERTIFICATE_EXPIRED 0
#define GATEWAY_CERTIFICATE_FAR     1000
unsigned gateway_certificate_stage(int64_t expires_wall_s, int64_t now_s);

/* "expired on DATE", "expires in 12 days, on DATE": how both the alert and `postern check` say it.
 * Returns text. */
#define GATEWAY_CERTIFICATE_END_MAX (CLOCK_DATE_MAX + 48)
const char *gateway_certificate_end(int64_t expires_wall_s, int64_t now_s,
                                    char text[static GATEWAY_CERTIFICATE_END_MAX]);

struct gateway_certificate_watch { /* Fields are private; zeroed at first. */
    size_t count;
    int64_t looked_s;
    struct {
        char name[GATEWAY_CERTIFICATE_NAME_MAX];
        int64_t expires_s;
        unsigned told;  /* the stage */
        int64_t told_s; /* when; 0: never */
        bool is_in_view;
    } entries[CONFIG_CERTIFICATES_MAX];
};

/* The view of a configuration that comes into force. */
void gateway_certificate_watch_take(struct gateway_certificate_watch *watch,
                                    const struct gateway_view *view);

/* Adds one more to what was taken: a context that has a certificate of this name. */
void gateway_certificate_watch_add(struct gateway_certificate_watch *watch, const char *name,
                                   const struct tls_context *context);

/* Raises and clears what is due: at once after a take, then every GATEWAY_CERTIFICATE_LOOK_S. */
void gateway_certificate_watch_look(struct gateway_certificate_watch *watch,
                                    struct gateway_alerts *alerts, int64_t now_s);
