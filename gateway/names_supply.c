#include "gateway/names_supply.h"

#include <sys/stat.h>

#include "gateway/worker.h"

#define RESOLV_CONF "/etc/resolv.conf"

static struct timespec changed_at(const char *path)
{
    struct stat info = { 0 };

    if (path[0] != '\0')
        (void)stat(path, &info); /* what is not there was changed at 0 */
    return info.st_mtim;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static enum status make_all(const struct gateway_process *process, const struct config_dns *dns,
                            struct gateway_names **names, struct dns_reason *reason_out)
{
    for (unsigned i = 0; i < process->workers_count; i++) {
        enum status status = gateway_names_create(process->workers[i].loop, dns,
                                                  process->lookups_max, &names[i], reason_out);

        if (status == STATUS_OK)
            continue;
        while (i-- > 0) {
            gateway_names_release(names[i]);
            names[i] = NULL;
        }
        return status;
    }
    return STATUS_OK;
}

enum status gateway_names_supply_make(struct gateway_names_supply *supply,
                                      const struct gateway_process *process,
                                      const struct config_dns *before,
                                      const struct config_dns *next, struct gateway_names **names,
                                      struct dns_reason *reason_out)
{
    struct gateway_names_supply now = { .resolv_conf = changed_at(RESOLV_CONF),
                                        .trust_anchor = changed_at(next->trust_anchor_path),
                                        .has_made = true };

    for (unsigned i = 0; i < process->workers_count; i++)
        names[i] = NULL;
    if (before != NULL && supply->has_made && gateway_names_are_same(before, next) &&
        is_same_time(supply->resolv_conf, now.resolv_conf) &&
        is_same_time(supply->trust_anchor, now.trust_anchor))
        return STATUS_OK;
    TRY(make_all(process, next, names, reason_out));
    *supply = now;
    return STATUS_OK;
}
