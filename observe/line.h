/* observe/line.h - one line of the mail log while it is put together.
 *
 * Never longer than OBSERVE_LINE_BYTES_MAX: what does not fit is left out and the line ends with
 * "...". It is cut between characters and escapes, never inside one. Internal to observe/.
 */
#pragma once
#include <time.h>

#include "base/clock.h"
#include "base/slice.h"
#include "observe/maillog.h"

struct observe_line {
    size_t len;
    bool full;
    time_t date_s; /* what the date's text stands for; the text is kept from line to line */
    size_t date_len;
    char date[CLOCK_DATE_MAX];
    char bytes[OBSERVE_LINE_BYTES_MAX];
};

void observe_line_init(struct observe_line *l);
void observe_line_begin(struct observe_line *l, enum observe_level level, time_t wall_s);
struct slice observe_line_end(struct observe_line *l); /* borrows from l */

void observe_line_text(struct observe_line *l, const char *text); /* ours, as it is */
void observe_line_number(struct observe_line *l, uint64_t number);
void observe_line_escaped(struct observe_line *l, struct slice text); /* anybody's */
void observe_line_quoted(struct observe_line *l, struct slice text);  /* as Python's repr() */

/* The line of this writer, begun; and the line put into the writer's ring. */
struct observe_line *observe_log_begin(struct observe_log_writer *w, enum observe_level level,
                                       time_t wall_s);
void observe_log_end(struct observe_log_writer *w);
