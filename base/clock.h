/* base/clock.h - the clocks, and the two date formats of mail.
 *
 * Pure folders never call clock_*_now(); they take the time as an argument. Monotonic time is
 * in milliseconds from an arbitrary start; wall time is in seconds since 1970 (UTC).
 */
#pragma once
#include <stdint.h>
#include <time.h>

#define CLOCK_DATE_MAX 64 /* both formats, NUL included */

uint64_t clock_monotonic_ms(void);
time_t clock_wall_s(void);
uint64_t clock_wall_us(void); /* for measurements; an NTP server may turn it back */

/* "Sun, 22 Nov 2026 17:54:00 +0000", RFC 5322 3.3, in the system's time zone. Returns text. */
const char *clock_format_mail(time_t wall_s, char text[static CLOCK_DATE_MAX]);

/* "Sun Nov 22 17:54:00 2026", the day padded with a space: the date of an AsyncOS log line, in
 * the system's time zone. Returns text. */
const char *clock_format_log(time_t wall_s, char text[static CLOCK_DATE_MAX]);
