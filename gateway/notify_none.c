#include "gateway/notify.h"

void gateway_notify_ready(void)
{
}

void gateway_notify_reloading(uint64_t now_ms)
{
    (void)now_ms;
}

void gateway_notify_stopping(void)
{
}

void gateway_notify_alive(void)
{
}
