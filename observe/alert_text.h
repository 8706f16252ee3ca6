/* observe/alert_text.h - an alert in words: for the mail log, a message and a command.
 *
 * All texts are printable ASCII; what an operator configured in other characters is replaced.
 */
#pragma once
#include "base/buffer.h"
#include "observe/alerts.h"

#define OBSERVE_ALERT_LINE_MAX       512  /* of a subject line, NUL included */
#define OBSERVE_ALERT_WORDS_MAX      80   /* of the text that the subject line repeats */
#define OBSERVE_ALERT_COLUMNS        76   /* where the lines of a message are broken */
#define OBSERVE_ALERT_BODY_BYTES_MAX 8192 /* what a buffer for body or message needs, at most */
#define OBSERVE_ALERT_MAIL_BYTES_MAX 32768

/* "Warning" */
const char *observe_severity_name(enum observe_severity severity);
/* "required-tls": stable, for programs. */
const char *observe_alert_kind_name(enum observe_alert_kind kind);
/* "alert", "summary" or "recovered"; the same. */
const char *observe_alert_step_name(enum observe_alert_step step);

/* AsyncOS's form: "Warning <System> mx1.example.com: A required TLS connection to...". Returns
 * line.
 */
const char *observe_alert_subject_line(const struct observe_alert_notice *notice,
                                       const char *hostname,
                                       char line[static OBSERVE_ALERT_LINE_MAX]);

/* The text as one line: what was raised, and how often, or that it is over. */
MUST_USE enum status observe_alert_sentence(const struct observe_alert_notice *notice,
                                            struct buffer *out);

struct observe_alert_frame {
    const char *hostname;
    const char *version;
    time_t now_s;
};

/* Lines that end with LF. */
MUST_USE enum status observe_alert_body(const struct observe_alert_notice *notice,
                                        const struct observe_alert_frame *frame,
                                        struct buffer *out);

struct observe_alert_letter {
    const char *from; /* an address */
    const char *const *to;
    size_t to_count; /* at least 1 */
    const char *subject_line;
    struct slice body; /* of observe_alert_body() */
    const char *hostname;
    uint64_t mid; /* makes the Message-ID */
    time_t now_s;
};

/* A message as it would arrive after DATA: lines that end with CRLF, dot-stuffed, without the final
 * dot. It says that no person wrote it (RFC 3834 5), so that nobody answers. */
MUST_USE enum status observe_alert_letter(const struct observe_alert_letter *letter,
                                          struct buffer *out);
