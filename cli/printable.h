/* cli/printable.h - other people's text on a terminal.
 *
 * What peers have said may hold control characters, which a terminal obeys: colours, moved cursors,
 * worse. They become \xNN, as do the C1 controls (U+0080 to U+009F), the marks that turn the
 * direction of writing (U+202A to U+202E, U+2066 to U+2069), and bytes that are not UTF-8. Other
 * characters stay.
 */
#pragma once
#include "base/slice.h"

/* Cut at room - 1 between two characters, and a NUL; room at least 1. Returns text. */
const char *cli_printable(struct slice from, char *text, size_t room);
