/* engine/kernel_tls.h - the system calls of kernel TLS, and what this kernel can do with them.
 *
 * For the ring's backend, and for the probe at start; everybody else goes through
 * engine/socket.h, so that a test can bring another kernel. None of the calls waits.
 */
#pragma once
#include <sys/socket.h>

#include "engine/backend.h"

/* What a peer may have on its way to a socket that the kernel decrypts: the kernel reads over
 * records without data in one go, and whoever sends nothing else would hold up the worker by
 * megabytes. */
#define ENGINE_KERNEL_TLS_WINDOW_BYTES (256 * 1024)

/* Each returns 0 (the last one bytes), or a negated errno. */
int engine_kernel_tls_start(int fd);
int engine_kernel_tls_key(int fd, enum engine_tls_direction direction, const void *key,
                          unsigned key_bytes);
int engine_kernel_tls_record(int fd, uint8_t *type_out, char *into, size_t room);

/* Makes a message to be sent a record of that type. Its control room is for one byte. */
void engine_kernel_tls_mark(struct msghdr *message, uint8_t type);
