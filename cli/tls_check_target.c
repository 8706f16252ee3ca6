#include "cli/tls_check_target.h"

#include <stdio.h>
#include <string.h>

static bool parse_port(struct slice text, uint16_t *port_out)
{
    uint64_t port;

    if (!slice_to_number(text, UINT16_MAX, &port) || port == 0)
        return false;
    *port_out = (uint16_t)port;
    return true;
}

/* "[host]" and what may stand behind it. */
static bool parse_bracketed(struct slice text, struct tlscheck_target *t)
{
    struct slice rest = slice_after(text, 1), host;

    if (memchr(rest.data, ']', rest.len) == NULL)
        return false;
    host = slice_cut(&rest, ']');
    if (rest.len > 0 && (rest.data[0] != ':' || !parse_port(slice_after(rest, 1), &t->port)))
        return false;
    t->is_host = true;
    t->is_address = ip_parse(host, &t->address);
    return t->is_address || dns_name_copy(host, t->name);
}

static bool parse_plain(struct slice text, struct tlscheck_target *t)
{
    struct slice rest = text, host;

    if (ip_parse(text, &t->address)) { /* its colons are its own */
        t->is_host = t->is_address = true;
        return true;
    }
    host = slice_cut(&rest, ':');
    t->is_host = host.len < text.len;
    if (t->is_host && !parse_port(rest, &t->port))
        return false;
    t->is_address = ip_parse(host, &t->address);
    return t->is_address || dns_name_copy(host, t->name);
}

bool tlscheck_target_parse(struct slice text, struct tlscheck_target *target_out)
{
    struct tlscheck_target t = { .port = 0 };
    char address[IP_TEXT_MAX], port[8] = "";
    bool is_v6;

    if (text.len == 0)
        return false;
    if (!(text.data[0] == '[' ? parse_bracketed(text, &t) : parse_plain(text, &t)))
        return false;
    is_v6 = t.is_address && !ip_is_v4(&t.address);
    if (t.port != 0)
        (void)snprintf(port, sizeof(port), ":%u", t.port);
    (void)snprintf(t.text, sizeof(t.text), is_v6 && t.port != 0 ? "[%s]%s" : "%s%s",
                   t.is_address ? ip_format(&t.address, address) : t.name, port);
    *target_out = t;
    return true;
}
