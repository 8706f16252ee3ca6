/* config/country.h - the country of an address, by a MaxMind database (MMDB).
 *
 * Loading reads the file into memory of its own, so that writing over it harms nobody; a lookup
 * asks nobody. Read by any number of threads. Countries are ISO 3166-1 alpha-2 codes; their English
 * names are for logs.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"
#include "base/status.h"

#define CONFIG_COUNTRY_NAME_MAX 64

struct config_country; /* private */

/* STATUS_INVALID, STATUS_NOT_FOUND, STATUS_DENIED...: *why_out is a phrase that lives on. */
MUST_USE enum status config_country_open(const char *path, struct config_country **country_out,
                                         const char **why_out);
void config_country_close(struct config_country *country); /* accepts NULL */

/* False when the database has none. Both slices borrow from the database; name may be empty. */
bool config_country_find(const struct config_country *country, const struct ip_address *address,
                         struct slice *code_out, struct slice *name_out);
