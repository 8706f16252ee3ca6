#include "cli/values.h"

#include <unistd.h>

#include "cli/options.h"
#include "smtp/address.h"

bool cli_value_number(const char *command, const char *name, const char *text, uint64_t min,
                      uint64_t max, uint64_t *value_out)
{
    if (text == NULL)
        return true;
    if (slice_to_number(slice_from(text), max, value_out) && *value_out >= min)
        return true;
    (void)cli_misuse(command, "--%s: \"%s\" is not a number from %llu to %llu", name, text,
                     (unsigned long long)min, (unsigned long long)max);
    return false;
}

bool cli_value_hostname(const char *command, const char *text, const char *otherwise,
                        struct slice *hostname_out)
{
    static char own[SMTP_DOMAIN_BYTES_MAX + 1];

    if (text == NULL && gethostname(own, sizeof(own) - 1) == 0 &&
        smtp_domain_is_valid(slice_from(own)))
        text = own;
    *hostname_out = slice_from(text != NULL ? text : otherwise);
    if (smtp_domain_is_valid(*hostname_out))
        return true;
    (void)cli_misuse(command, "--hostname: \"%s\" is not a host name", text);
    return false;
}
