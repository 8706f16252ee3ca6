#include "config/asyncos_routes.h"

#include "config/asyncos_look.h"
#include "config/asyncos_write.h"
#include "policy/domain_map.h"
#include "policy/route.h"

#define INDENT_ROUTE   2
#define INDENT_HOST    6
#define TO_COLUMNS_MAX 70 /* of hosts that stand behind their domain */

struct route {
    struct slice domain;
    size_t first, count; /* hosts */
    unsigned line;
    uint32_t mark;
};

struct routes {
    struct config_asyncos a;
    struct buffer routes, hosts; /* struct route, struct slice */
    uint32_t end_mark;
};

static struct route *route_at(const struct routes *r, size_t index)
{
    return config_asyncos_item(&r->routes, index, sizeof(struct route));
}

static size_t routes_count(const struct routes *r)
{
    return buffer_len(&r->routes) / sizeof(struct route);
}

static struct slice host_at(const struct routes *r, size_t index)
{
    return *(const struct slice *)config_asyncos_item(&r->hosts, index, sizeof(struct slice));
}

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

/* The next word of a line; empty when there is none. */
static struct slice next_word(struct slice *rest)
{
    struct slice word;
    size_t len = 0;

    while (rest->len > 0 && is_separator(rest->data[0]))
        *rest = slice_after(*rest, 1);
    while (len < rest->len && !is_separator(rest->data[len]))
        len++;
    word = slice_first(*rest, len);
    *rest = slice_after(*rest, len);
    return word;
}

static struct slice shown(struct slice text)
{
    return slice_first(text,
                       text.len < CONFIG_ASYNCOS_WORD_MAX ? text.len : CONFIG_ASYNCOS_WORD_MAX);
}

static void add_host(struct routes *r, struct route *route, struct slice text, bool *is_alone)
{
    struct config_asyncos *a = &r->a;
    enum policy_route_action action;
    struct policy_route_host host;

    if (config_asyncos_is_rule(text)) {
        config_asyncos_error(a, a->token.line,
                             "%.*s is an access rule of a HAT or RAT, not a host; [%.*s] would be "
                             "one",
                             SLICE_ARGS(text), SLICE_ARGS(text));
        return;
    }
    if (policy_route_action_parse(text, &action)) {
        *is_alone = true;
        text = action == POLICY_ROUTE_USEDNS ? SLICE("USEDNS") : SLICE("/dev/null");
    } else if (text.len > CONFIG_ASYNCOS_WORD_MAX || !policy_route_host_parse(text, &host)) {
        config_asyncos_error(a, a->token.line,
                             "\"%.*s\" is not a host: \"mx.example.com\", "
                             "\"[mx.example.com]:25/pri=10\", \"192.0.2.1\", USEDNS or /dev/null",
                             SLICE_ARGS(shown(text)));
        return;
    }
    if (config_asyncos_push(a, &r->hosts, &text, sizeof(text)))
        route->count++;
}

static void read_route(struct routes *r, struct slice line)
{
    struct config_asyncos *a = &r->a;
    struct route route = { .line = a->token.line,
                           .mark = config_asyncos_mark(a),
                           .first = buffer_len(&r->hosts) / sizeof(struct slice) };
    size_t errors = a->problems->errors_count;
    bool is_alone = false;
    struct slice word;

    route.domain = next_word(&line);
    if (route.domain.len > 1 && route.domain.data[route.domain.len - 1] == ':')
        route.domain.len--;
    if (slice_is_word(route.domain, "ALL"))
        route.domain = SLICE("ALL");
    else if (!policy_domain_is_valid(route.domain) && !policy_domain_is_partial(route.domain))
        config_asyncos_error(a, route.line, "\"%.*s\" is not a domain, \".domain\" or ALL",
                             SLICE_ARGS(shown(route.domain)));
    while ((word = next_word(&line)).len > 0)
        add_host(r, &route, word, &is_alone);
    if (a->problems->errors_count > errors)
        return;
    if (route.count == 0)
        config_asyncos_error(a, route.line, "\"%.*s\" has no hosts", SLICE_ARGS(route.domain));
    else if (is_alone && route.count > 1)
        config_asyncos_error(a, route.line, "USEDNS and /dev/null stand alone in a route");
    else if (route.count > POLICY_ROUTE_HOSTS_MAX)
        config_asyncos_error(a, route.line, "a route has at most %d hosts", POLICY_ROUTE_HOSTS_MAX);
    else if (routes_count(r) == POLICY_ROUTE_ENTRIES_MAX)
        config_asyncos_error(a, route.line, "more than %d routes", POLICY_ROUTE_ENTRIES_MAX);
    else
        (void)config_asyncos_push(a, &r->routes, &route, sizeof(route));
}

static void refuse_repeated(struct routes *r)
{
    struct policy_domain_map map;
    size_t count = routes_count(r), first;

    if (!policy_domain_map_init(&map, &r->a.arena, count)) {
        r->a.status = STATUS_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct route *route = route_at(r, i);
        struct slice key = policy_domain_normal(route->domain);

        if (policy_domain_map_get(&map, key, &first))
            config_asyncos_error(&r->a, route->line, "\"%.*s\" stands already in line %u",
                                 SLICE_ARGS(route->domain), route_at(r, first)->line);
        else
            policy_domain_map_add(&map, key, i);
    }
}

static void read_table(struct routes *r)
{
    struct slice line;

    while (config_asyncos_line(&r->a, &line))
        read_route(r, line);
    r->end_mark = config_asyncos_mark(&r->a);
    if (routes_count(r) == 0)
        config_asyncos_no_row(&r->a);
    refuse_repeated(r);
}

static enum status write_hosts(const struct routes *r, const struct route *route,
                               struct buffer *out)
{
    struct config_asyncos_elements e = { .out = out, .indent = INDENT_HOST };
    size_t columns = route->domain.len;

    for (size_t i = 0; i < route->count; i++)
        columns += host_at(r, route->first + i).len + 4;
    if (columns <= TO_COLUMNS_MAX) {
        for (size_t i = 0; i < route->count; i++) {
            TRY(buffer_append(out, i > 0 ? SLICE(", ") : SLICE(" ")));
            TRY(config_asyncos_write_string(out, host_at(r, route->first + i)));
        }
        return buffer_append(out, SLICE(" ]; }"));
    }
    TRY(buffer_append(out, SLICE("\n")));
    for (size_t i = 0; i < route->count; i++)
        TRY(config_asyncos_write_element(&e, host_at(r, route->first + i), SLICE(""),
                                         i + 1 == route->count));
    TRY(config_asyncos_write_elements_end(&e));
    return buffer_printf(out, "%*s]; }", INDENT_ROUTE + 2, "");
}

static enum status write_table(const struct routes *r, struct buffer *out)
{
    size_t count = routes_count(r);

    TRY(config_asyncos_write_comment(out, 0,
                                     SLICE("SMTP routes of AsyncOS, written by `postern "
                                           "import routes`.")));
    TRY(buffer_append(out, SLICE("\nroutes = (\n")));
    for (size_t i = 0; i < count; i++) {
        const struct route *route = route_at(r, i);

        TRY(config_asyncos_write_marks(&r->a, out, INDENT_ROUTE, route->mark, route->mark + 1));
        TRY(buffer_printf(out, "%*s{ domain = \"%.*s\"; to = [", INDENT_ROUTE, "",
                          SLICE_ARGS(route->domain)));
        TRY(write_hosts(r, route, out));
        TRY(buffer_append(out, i + 1 < count ? SLICE(",\n") : SLICE("\n")));
    }
    TRY(buffer_append(out, SLICE(");\n")));
    return config_asyncos_write_marks(&r->a, out, 0, r->end_mark, r->end_mark + 1);
}

enum status config_import_routes(const struct config_asyncos_import *import, struct buffer *out,
                                 struct config_problems *problems)
{
    struct routes r = { .end_mark = CONFIG_ASYNCOS_NO_MARK };
    enum status status;

    config_asyncos_begin(&r.a, import, problems);
    config_asyncos_list_init(&r.routes, POLICY_ROUTE_ENTRIES_MAX, sizeof(struct route));
    config_asyncos_list_init(&r.hosts, CONFIG_ASYNCOS_ITEMS_MAX, sizeof(struct slice));
    if (config_asyncos_expect(&r.a, import, CONFIG_ASYNCOS_ROUTES))
        read_table(&r);
    status = r.a.status;
    if (status == STATUS_OK && problems->errors_count == 0)
        status = write_table(&r, out);
    if (status != STATUS_OK && problems->errors_count == 0)
        config_asyncos_error(&r.a, 0, "%s", status_text(status));
    config_asyncos_report(&r.a);
    if (problems->errors_count > 0)
        status = STATUS_INVALID;
    buffer_finish(&r.routes);
    buffer_finish(&r.hosts);
    config_asyncos_end(&r.a);
    return status;
}
