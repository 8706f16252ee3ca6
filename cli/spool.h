/* cli/spool.h - `postern spool`: a command for each thing to do with a spool, offline.
 *
 * All but `quarantine remove` open it as a reader: without the lock, changing nothing. Where a
 * gateway is using it meanwhile they say so, and what they print is a snapshot.
 */
#pragma once

/* argv[0] is the command's name behind `spool`. Each returns an exit status. */
int cli_spool_list(int argc, char **argv);       /* spool_list.c */
int cli_spool_quarantine(int argc, char **argv); /* spool_quarantine.c */
int cli_spool_selftest(int argc, char **argv);   /* spool_selftest.c */
int cli_spool_show(int argc, char **argv);       /* spool_show.c */
int cli_spool_verify(int argc, char **argv);     /* spool_verify.c */
