/* base/check.h - assertions that stay on in release builds, and must-use results.
 *
 * An assertion is for our own mistakes only. What a peer, a disk or a configuration can
 * cause is a reply or an enum status (base/status.h), never an assertion.
 */
#pragma once

#define ASSERT(x)     ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

#define MUST_USE                 __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* Prints the failed assertion to standard error and aborts. */
_Noreturn void check_failed(const char *what, const char *file, int line);
