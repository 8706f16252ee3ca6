/* gateway/probe.h - what this machine lets the gateway do: `postern run --probe`. */
#pragma once

/* What this machine lets the engine do, one decision a line on standard output. Returns 0 when
 * the engine can run here, else 1. */
int gateway_probe(void);
