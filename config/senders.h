/* config/senders.h - the entries of a HAT row, out of the row and out of the file it names.
 *
 * A senders_file has one sender in a line, in any form but "ALL". A line may end with a comment
 * in parentheses or behind "#"; empty lines and CRLF are fine. A block list has a million of
 * them, so what is kept to tell where an entry stands is its line number and no more. For the
 * files of config/ only.
 */
#pragma once
#include "config/draft.h"

#define CONFIG_SENDERS_FILE_BYTES_MAX ((size_t)256 << 20)
#define CONFIG_SENDERS_LINE_BYTES_MAX 1024

/* Entries of one row that stand in one place, numbered as in the compiled HAT. */
struct config_senders_run {
    const config_setting_t *row;
    const config_setting_t **settings; /* of each entry; NULL: they are in a file */
    const char *path;
    const uint32_t *lines; /* of each entry, from 1 */
    size_t first;          /* number of the first entry */
    size_t count;
};

/* Both read what is there and report what is wrong with it. hat is NULL when the row cannot be
 * compiled and its senders are only to be judged. run is zeroed but for row and first. */
void config_read_senders(struct config_draft *d, struct policy_hat_draft *hat,
                         const config_setting_t *senders, struct config_senders_run *run);
void config_read_senders_file(struct config_draft *d, struct policy_hat_draft *hat,
                              const config_setting_t *at, const char *path,
                              struct config_senders_run *run);

/* The run that holds an entry. */
const struct config_senders_run *config_senders_run_of(const struct config_table_draft *table,
                                                       size_t entry);

/* Reports at the place of an entry. */
void config_senders_report(struct config_draft *d, const struct config_table_draft *table,
                           size_t entry, enum config_severity severity, const char *format, ...)
    PRINTF_LIKE(5, 6);
