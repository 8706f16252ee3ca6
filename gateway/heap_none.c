#include "gateway/heap.h"

void gateway_heap_own(void)
{
}

void gateway_heap_disown(void)
{
}

void gateway_heap_sweep(void)
{
}
