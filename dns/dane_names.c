#include "dns/dane_names.h"

#include "base/check.h"

static void add(struct slice names[static DNS_DANE_NAMES_MAX], size_t *count, struct slice name)
{
    if (name.len == 0)
        return;
    for (size_t i = 0; i < *count; i++)
        if (slice_equal_nocase(names[i], name))
            return;
    ASSERT(*count < DNS_DANE_NAMES_MAX);
    names[(*count)++] = name;
}

size_t dns_dane_names(const struct dns_dane_way *way,
                      struct slice names_out[static DNS_DANE_NAMES_MAX])
{
    size_t count = 0;

    ASSERT(way->base.len > 0);
    add(names_out, &count, way->base);
    add(names_out, &count, way->host);
    if (way->is_by_mx && way->is_mx_secure) {
        add(names_out, &count, way->domain);
        add(names_out, &count, way->alias);
    }
    return count;
}
