/* gateway/descriptors.h - how the file descriptors of the process are divided.
 *
 * Of what the system allows, five eighths are for those who come in and one eighth for questions to
 * the DNS, each of which has a socket of its own. The rest is for those we go to, for segments and
 * for body files, which must never be short of them.
 */
#pragma once
#include <sys/resource.h>

#define GATEWAY_INBOUND_MIN 4  /* connections of a worker, however few descriptors there are */
#define GATEWAY_LOOKUPS_MIN 16 /* questions of a worker */

/* Raises the limit of descriptors as far as it goes; returns it. */
rlim_t gateway_descriptors_raise(void);

/* Of one worker. */
unsigned gateway_descriptors_inbound_max(rlim_t descriptors, unsigned workers);
unsigned gateway_descriptors_lookups_max(rlim_t descriptors, unsigned workers);
