/* gateway/notify.h - tells a service manager how the process is doing (sd_notify(3)).
 *
 * Without libsystemd at build time, or without a service manager that listens, nothing happens.
 * For the supervisor's thread.
 */
#pragma once
#include <stdint.h>

void gateway_notify_ready(void);
void gateway_notify_reloading(uint64_t now_ms);
void gateway_notify_stopping(void);

/* The workers are alive; to be called at least twice in every watchdog period. */
void gateway_notify_alive(void);
