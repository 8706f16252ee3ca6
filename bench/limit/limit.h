/* bench/limit/limit.h - what the programs of this folder share.
 *
 * Each does one part of a gateway's work and nothing else: no policy, no disk, no log, no limits,
 * and no mercy for peers that do not behave. They trouble themselves only with speed, so that what
 * they need is about the least that anybody could need on this machine.
 */
#pragma once
#include <liburing.h>

#include "base/slice.h"

#define LIMIT_THREADS_MAX 64

__attribute__((noreturn)) void limit_die(const char *what); /* says errno too */

/* From 1 to max, or the program ends with its usage. */
uint64_t limit_number(const char *text, uint64_t max, const char *usage);

/* For the thread that calls. */
void limit_ring_init(struct io_uring *ring);

/* With what it is about: `op` is below 8, `object` aligned to 8 bytes. */
struct io_uring_sqe *limit_ring_sqe(struct io_uring *ring);
void limit_ring_tag(struct io_uring_sqe *sqe, void *object, unsigned op);
unsigned limit_ring_op(const struct io_uring_cqe *cqe);
void *limit_ring_object(const struct io_uring_cqe *cqe);

/* A listening socket of this thread, on 127.0.0.1; others may have the port as well. */
int limit_listen(uint16_t port);

/* A socket that is connected to that port of 127.0.0.1. */
int limit_dial(uint16_t port);

/* Of the process, all threads. */
double limit_cpu_seconds(void);
uint64_t limit_now_us(void);
