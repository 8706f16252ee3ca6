#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

uint64_t clock_monotonic_ms(void)
{
    struct timespec t;

    ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

time_t clock_wall_s(void)
{
    return time(NULL);
}

uint64_t clock_wall_us(void)
{
    struct timespec t;

    ASSERT(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* strftime() would use the locale's names for days and months. */
const char *clock_format_mail(time_t wall_s, char text[static CLOCK_DATE_MAX])
{
    struct tm t;
    unsigned offset_min;

    if (localtime_r(&wall_s, &t) == NULL)
        (void)gmtime_r(&(time_t){ 0 }, &t);
    offset_min = (unsigned)(labs(t.tm_gmtoff) / 60) % (24 * 60);
    (void)snprintf(text, CLOCK_DATE_MAX, "%s, %d %s %d %02d:%02d:%02d %c%02u%02u", days[t.tm_wday],
                   t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec,
                   t.tm_gmtoff < 0 ? '-' : '+', offset_min / 60, offset_min % 60);
    return text;
}

const char *clock_format_log(time_t wall_s, char text[static CLOCK_DATE_MAX])
{
    struct tm t;

    if (localtime_r(&wall_s, &t) == NULL)
        (void)gmtime_r(&(time_t){ 0 }, &t);
    (void)snprintf(text, CLOCK_DATE_MAX, "%s %s %2d %02d:%02d:%02d %d", days[t.tm_wday],
                   months[t.tm_mon], t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, t.tm_year + 1900);
    return text;
}
