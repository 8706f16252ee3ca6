/* config/asyncos_country.h - the countries that AsyncOS writes by name, by their code. */
#pragma once
#include "base/slice.h"

/* "DE" for "Germany" or "de" (ISO 3166-1 alpha-2), whatever the case; NULL: no such country. The
 * text is static. */
const char *config_asyncos_country_code(struct slice name);
