#include <systemd/sd-daemon.h>

#include "gateway/notify.h"

void gateway_notify_ready(void)
{
    (void)sd_notify(0, "READY=1");
}

void gateway_notify_reloading(uint64_t now_ms)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_ms * 1000);
}

void gateway_notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void gateway_notify_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}
