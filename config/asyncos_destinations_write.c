#include <stdio.h>

#include "config/asyncos_destinations.h"
#include "config/asyncos_write.h"
#include "config/units.h"

#define INDENT_DEFAULT 4
#define INDENT_ENTRY   4
#define COLUMNS_MAX    100
#define VALUE_MAX      (CONFIG_ASYNCOS_WORD_MAX + 64)

/* The value of a field as our configuration has it. */
static const char *value_of(const struct config_asyncos_destination *e,
                            enum policy_destination_field field, char text[static VALUE_MAX])
{
    uint32_t number = e->numbers[field];
    char duration[CONFIG_UNIT_TEXT_MAX];

    switch (field) {
    case POLICY_DESTINATION_TLS:
        (void)snprintf(text, VALUE_MAX, "\"%s\"", policy_tls_text((enum policy_tls)number));
        break;
    case POLICY_DESTINATION_DANE:
        (void)snprintf(text, VALUE_MAX, "\"%s\"", policy_dane_text((enum policy_dane)number));
        break;
    case POLICY_DESTINATION_IP:
        (void)snprintf(text, VALUE_MAX, "\"%s\"", policy_ip_text((enum policy_ip)number));
        break;
    case POLICY_DESTINATION_SCOPE:
        (void)snprintf(text, VALUE_MAX, "\"%s\"",
                       policy_limit_scope_text((enum policy_limit_scope)number));
        break;
    case POLICY_DESTINATION_MTA_STS:
        (void)snprintf(text, VALUE_MAX, "%s", number != 0 ? "true" : "false");
        break;
    case POLICY_DESTINATION_INTERVAL:
        (void)snprintf(text, VALUE_MAX, "\"%s\"", config_duration_format(number, duration));
        break;
    case POLICY_DESTINATION_CONNECTIONS:
    case POLICY_DESTINATION_MESSAGES:
    case POLICY_DESTINATION_RECIPIENTS: (void)snprintf(text, VALUE_MAX, "%u", number); break;
    case POLICY_DESTINATION_CERTIFICATE:
        (void)snprintf(text, VALUE_MAX, "\"%.*s\"", SLICE_ARGS(e->certificate));
        break;
    case POLICY_DESTINATION_BOUNCE_PROFILE:
        (void)snprintf(text, VALUE_MAX, "\"%.*s\"", SLICE_ARGS(e->bounce_profile));
        break;
    case POLICY_DESTINATION_KTLS:
    case POLICY_DESTINATION_TLS_VERSION:
    case POLICY_DESTINATION_FALLBACK:
    case POLICY_DESTINATION_CHUNKING:
    case POLICY_DESTINATION_EIGHT_BIT:
    case POLICY_DESTINATION_FIELDS_COUNT: UNREACHABLE(); /* no key of AsyncOS gives them */
    }
    return text;
}

static enum status write_defaults(const struct config_asyncos *a,
                                  const struct config_asyncos_destination *e, struct buffer *out)
{
    char value[VALUE_MAX];

    TRY(buffer_append(out, SLICE("  default = {\n")));
    if (e->line > 0)
        TRY(config_asyncos_write_marks(a, out, INDENT_DEFAULT, e->mark, e->marks_end));
    for (unsigned field = 0; field < POLICY_DESTINATION_FIELDS_COUNT; field++)
        if ((e->given >> field & 1) != 0)
            TRY(buffer_printf(out, "%*s%s = %s;\n", INDENT_DEFAULT, "",
                              config_destination_key((enum policy_destination_field)field),
                              value_of(e, (enum policy_destination_field)field, value)));
    return buffer_append(out, SLICE("  };\n"));
}

/* On one line, as long as it is short enough. */
static enum status write_entry(const struct config_asyncos *a,
                               const struct config_asyncos_destination *e, struct buffer *out)
{
    size_t column = INDENT_ENTRY + sizeof("{ domain = \"\";") - 1 + e->domain.len;
    char value[VALUE_MAX], pair[VALUE_MAX + 64];

    TRY(config_asyncos_write_marks(a, out, INDENT_ENTRY, e->mark, e->marks_end));
    TRY(buffer_printf(out, "%*s{ domain = \"%.*s\";", INDENT_ENTRY, "", SLICE_ARGS(e->domain)));
    for (unsigned field = 0; field < POLICY_DESTINATION_FIELDS_COUNT; field++) {
        int len;

        if ((e->given >> field & 1) == 0)
            continue;
        len = snprintf(pair, sizeof(pair), "%s = %s;",
                       config_destination_key((enum policy_destination_field)field),
                       value_of(e, (enum policy_destination_field)field, value));
        ASSERT(len > 0 && (size_t)len < sizeof(pair));
        if (column + (size_t)len + sizeof(" },") > COLUMNS_MAX) {
            TRY(buffer_printf(out, "\n%*s", INDENT_ENTRY + 1, ""));
            column = INDENT_ENTRY + 1;
        }
        TRY(buffer_printf(out, " %s", pair));
        column += (size_t)len + 1;
    }
    return buffer_append(out, SLICE(" }"));
}

enum status config_asyncos_destinations_write(const struct config_asyncos *a,
                                              const struct config_asyncos_destination *defaults,
                                              const struct buffer *entries, uint32_t end_mark,
                                              struct buffer *out)
{
    size_t count = buffer_len(entries) / sizeof(struct config_asyncos_destination);
    bool is_first = true;

    TRY(config_asyncos_write_comment(out, 0,
                                     SLICE("Destination Controls of AsyncOS, written by "
                                           "`postern import destinations`.")));
    TRY(buffer_append(out, SLICE("\ndestinations = {\n")));
    TRY(write_defaults(a, defaults, out));
    TRY(buffer_append(out, SLICE("  domains = (")));
    for (size_t i = 0; i < count; i++) {
        const struct config_asyncos_destination *e = config_asyncos_item(entries, i, sizeof(*e));

        if (e->is_repeated)
            continue;
        TRY(buffer_append(out, is_first ? SLICE("\n") : SLICE(",\n")));
        TRY(write_entry(a, e, out));
        is_first = false;
    }
    TRY(buffer_append(out, SLICE("\n  );\n};\n")));
    return config_asyncos_write_marks(a, out, 0, end_mark, end_mark + 1);
}
