/* gateway/connect_failure.h - whose fault it is that a connection could not be opened.
 *
 * Of the errno values of connect() and of what comes before it, to the words of the scheduler
 * (delivery/scheduler.h). What is ours must not put a host down, and what is the host's, or the
 * way's to it, must not be taken for ours: the other hosts would never be tried.
 */
#pragma once
#include "delivery/scheduler.h"

/* error: not 0. is_v4: of the address that was to be connected to. */
enum delivery_failure gateway_connect_failure(int error, bool is_v4);
