#include "gateway/helpers.h"

#include <curl/curl.h>
#include <stdio.h>

#include "gateway/mta_sts_io.h"

#define JOBS_MAX (4u * CONFIG_WORKERS_MAX)
#define READERS  2u /* one reads a segment, the other looks at the one before */

enum status gateway_helpers_start(struct gateway_process *process)
{
    enum status status;

    TRY(engine_helper_create(1, JOBS_MAX, &process->segments));
    TRY(engine_helper_create(READERS, READERS, &process->readers));
    if (!process->spool_is_direct)
        TRY(engine_helper_create(process->workers_count, JOBS_MAX, &process->committer));
    /* While no other thread uses libcurl, or what it stands on. */
    status = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? STATUS_OK : STATUS_UNSUPPORTED;
    if (status == STATUS_OK)
        status = gateway_mta_sts_io_create(process->directory.path_fd, &process->mta_sts);
    if (status != STATUS_OK)
        fprintf(stderr, "postern: mta-sts: %s\n", status_text(status));
    return status;
}

void gateway_helpers_stop(struct gateway_process *process)
{
    gateway_mta_sts_io_destroy(process->mta_sts);
    engine_helper_destroy(process->committer);
    engine_helper_destroy(process->readers);
    engine_helper_destroy(process->segments);
}
