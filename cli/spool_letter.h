/* cli/spool_letter.h - a message of the spool as a letter: a file that a mail program reads, and
 * that can be sent again.
 *
 * Lines end with CRLF, as they came; the dots that DATA put in are taken out.
 */
#pragma once
#include <stdio.h>

#include "spool/files.h"
#include "spool/message.h"

/* Writes it, behind the header lines that we have added where with_trace is set. A body in a file
 * of its own is read from the spool. STATUS_CORRUPT: all of it was written, but that file is not
 * what was committed, or too short. STATUS_IO: of the disk; of out, see ferror(). */
MUST_USE enum status cli_letter_write(const struct spool_message *m,
                                      const struct spool_directory *d, bool with_trace, FILE *out);

/* Whether the body file of a message is what was committed; OK for a message without one. */
MUST_USE enum status cli_letter_check_body(const struct spool_message *m,
                                           const struct spool_directory *d);
