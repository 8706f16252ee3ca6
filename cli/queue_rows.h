/* cli/queue_rows.h - the answers of a gateway about its queue, printed line by line as they come.
 */
#pragma once
#include "cli/admin_client.h"
#include "cli/queue_text.h"
#include "gateway/queue_filter.h"

#define CLI_QUEUE_ROWS_MAX 200000 /* destinations in a summary, which has to be sorted */

struct cli_queue_row; /* private */

struct cli_queue_rows { /* Fields are private but for the first ones, and end. */
    struct cli_admin_lines lines;
    const char *command; /* for messages: "queue show" */
    enum gateway_queue_verb verb;
    bool is_json;
    time_t now_s;
    uint64_t limit;     /* SUMMARY: destinations to be printed; 0: all */
    bool is_chosen;     /* LIST: of a selection */
    const char *domain; /* FLUSH: of what */

    struct cli_queue_line end; /* kind "": it has not come */
    bool is_bad;               /* a line could not be read */
    uint64_t missing;          /* MIDs that are not there; each has been told */
    uint64_t printed;
    uint64_t shown_mid;
    struct cli_queue_row **rows;
    size_t rows_count;
    size_t rows_room;
    uint64_t rows_lost;
};

/* Borrows command. */
void cli_queue_rows_init(struct cli_queue_rows *r, const char *command,
                         enum gateway_queue_verb verb, bool is_json);

/* After the last line: what is printed behind all others. */
void cli_queue_rows_end(struct cli_queue_rows *r);
void cli_queue_rows_finish(struct cli_queue_rows *r);
