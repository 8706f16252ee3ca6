/* spool/quarantine.h - damaged segments that are of no more use, kept for a person to look at.
 *
 *     PATH/quarantine/NNNNNNNN.seg    the number it had in PATH/segments
 *
 * A segment in which recovery found damage serves like any other until no message lives in it.
 * Then, instead of being used again, it is moved here with all that is in it: a record that is
 * damaged may be mail that had its 250, and a person may still get something out of it
 * (spool/salvage.h). While segments lie here recovery unlinks no body file: one may belong to
 * such a message. Only a person removes them.
 *
 * Plain blocking calls. Each function's effects are durable when it returns.
 */
#pragma once
#include "spool/files.h"

#define SPOOL_QUARANTINE_MAX 32 /* segments; 2 GiB of the default size */

/* Moves a segment out of PATH/segments. STATUS_LIMIT when the quarantine is full; the segment stays
 * where it is then, and when anything else fails. */
MUST_USE enum status spool_quarantine_take(const struct spool_directory *d, uint32_t number);

/* The numbers of those that are there, rising; at most SPOOL_QUARANTINE_MAX. Other files are left
 * out. No quarantine at all is an empty one. */
MUST_USE enum status spool_quarantine_list(const struct spool_directory *d,
                                           uint32_t numbers_out[static SPOOL_QUARANTINE_MAX],
                                           size_t *count_out);

/* A descriptor to read from, close-on-exec. STATUS_NOT_FOUND. */
MUST_USE enum status spool_quarantine_open(const struct spool_directory *d, uint32_t number,
                                           int *fd_out);
MUST_USE enum status spool_quarantine_remove(const struct spool_directory *d, uint32_t number);
