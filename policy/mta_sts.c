#include "policy/mta_sts.h"

#include "policy/domain_map.h"

#define FIELD_NAME_MAX 32 /* 3.1 and 3.2: the names of extensions */
#define AGE_DIGITS_MAX 10 /* 3.2 */

static const char *const mode_words[] = { "none", "testing", "enforce" };

const char *policy_mta_sts_mode_text(enum policy_mta_sts_mode mode)
{
    return mode_words[mode];
}

static bool is_alphanumeric(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c);
}

/* Of a field that this version may not know, too. */
static bool is_field_name(struct slice name)
{
    if (name.len == 0 || name.len > FIELD_NAME_MAX || !is_alphanumeric(name.data[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!is_alphanumeric(name.data[i]) && name.data[i] != '_' && name.data[i] != '-' &&
            name.data[i] != '.')
            return false;
    return true;
}

/* --- the TXT record -------------------------------------------------------------------------- */

bool policy_mta_sts_is_record(struct slice record)
{
    static const struct slice start = { "v=STSv1;", 8 };

    return record.len >= start.len && slice_equal(slice_first(record, start.len), start);
}

static bool is_id(struct slice id)
{
    if (id.len == 0 || id.len > POLICY_MTA_STS_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!is_alphanumeric(id.data[i]))
            return false;
    return true;
}

static bool is_extension_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~' || value.data[i] == '=')
            return false; /* bytes beyond ASCII are negative, or above '~' */
    return value.len > 0;
}

bool policy_mta_sts_record_id(struct slice record, struct slice *id_out)
{
    struct slice id = { 0 };

    if (!policy_mta_sts_is_record(record) || record.len > POLICY_MTA_STS_RECORD_MAX)
        return false;
    (void)slice_cut(&record, ';');
    while ((record = slice_trim(record)).len > 0) {
        struct slice value = slice_trim(slice_cut(&record, ';'));
        struct slice name = slice_cut(&value, '=');

        if (!is_field_name(name) || !is_extension_value(value))
            return false;
        if (!slice_equal(name, SLICE("id")) || id.len > 0)
            continue;
        if (!is_id(value))
            return false;
        id = value;
    }
    if (id.len > 0)
        *id_out = id;
    return id.len > 0;
}

/* --- the policy file ------------------------------------------------------------------------- */

/* The next line that is not empty, without what ends it. */
static bool next_line(struct slice *rest, struct slice *line_out)
{
    while (rest->len > 0) {
        struct slice line = slice_cut(rest, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        while (line.len > 0 && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t'))
            line.len--;
        if (line.len > 0) {
            *line_out = line;
            return true;
        }
    }
    return false;
}

/* "name: value"; false when the line is none. What an unknown field may hold is anything printable,
 * in UTF-8 (which is not checked, since nobody looks at it). */
static bool split_line(struct slice line, struct slice *name_out, struct slice *value_out)
{
    struct slice value = line, name = slice_cut(&value, ':');

    for (size_t i = 0; i < line.len; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
            return false;
    *name_out = name;
    *value_out = slice_trim(value);
    return is_field_name(name) && name.len < line.len && value_out->len > 0;
}

static bool is_pattern(struct slice mx)
{
    if (mx.len > 2 && mx.data[0] == '*' && mx.data[1] == '.')
        mx = slice_after(mx, 2);
    return mx.len > 0 && mx.data[mx.len - 1] != '.' && policy_domain_is_valid(mx);
}

bool policy_mta_sts_pattern_next(struct slice *rest, struct slice *pattern_out)
{
    struct slice line, name;

    while (next_line(rest, &line))
        if (split_line(line, &name, pattern_out) && slice_equal(name, SLICE("mx")))
            return true;
    return false;
}

static bool read_mode(struct slice value, enum policy_mta_sts_mode *mode_out)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_words); i++) {
        if (slice_equal(value, slice_from(mode_words[i]))) {
            *mode_out = (enum policy_mta_sts_mode)i;
            return true;
        }
    }
    return false;
}

/* What has been read so far. */
struct reading {
    struct policy_mta_sts policy;
    bool has_version, has_mode, has_age;
};

/* Returns what is wrong with the field; NULL: nothing. */
static const char *take_field(struct reading *r, struct slice name, struct slice value)
{
    uint64_t age_s;

    if (slice_equal(name, SLICE("mx"))) {
        if (r->policy.mx_count == POLICY_MTA_STS_MX_MAX)
            return "too many mx patterns";
        r->policy.mx_count++;
        return is_pattern(value) ? NULL : "an mx that is no name";
    }
    if (slice_equal(name, SLICE("version")) && !r->has_version) {
        r->has_version = true;
        return slice_equal(value, SLICE("STSv1")) ? NULL : "not version STSv1";
    }
    if (slice_equal(name, SLICE("mode")) && !r->has_mode) {
        r->has_mode = true;
        return read_mode(value, &r->policy.mode) ? NULL : "an unknown mode";
    }
    if (slice_equal(name, SLICE("max_age")) && !r->has_age) {
        if (value.len > AGE_DIGITS_MAX || !slice_to_number(value, POLICY_MTA_STS_AGE_S_MAX, &age_s))
            return "a max_age that is none";
        r->has_age = true;
        r->policy.max_age_s = (uint32_t)age_s;
    }
    return NULL;
}

static const char *read_file(struct slice text, struct reading *r)
{
    struct slice rest = text, line, name, value;

    if (text.len > POLICY_MTA_STS_TEXT_MAX)
        return "too long";
    while (next_line(&rest, &line)) {
        const char *why = "a line that is no field";

        if (split_line(line, &name, &value))
            why = take_field(r, name, value);
        if (why != NULL)
            return why;
    }
    if (!r->has_version)
        return "no version";
    if (!r->has_mode)
        return "no mode";
    if (!r->has_age)
        return "no max_age";
    if (r->policy.mx_count == 0 && r->policy.mode != POLICY_MTA_STS_NONE)
        return "no mx";
    return NULL;
}

bool policy_mta_sts_parse(struct slice text, struct policy_mta_sts *policy_out,
                          const char **why_out)
{
    struct reading r = { .policy = { .text = text } };
    const char *why = read_file(text, &r);

    if (why != NULL) {
        *why_out = why;
        return false;
    }
    *policy_out = r.policy;
    return true;
}

/* --- which hosts ----------------------------------------------------------------------------- */

static bool is_match(struct slice pattern, struct slice host)
{
    if (pattern.len < 2 || pattern.data[0] != '*')
        return slice_equal_nocase(pattern, host);
    if (slice_cut(&host, '.').len == 0)
        return false;
    return slice_equal_nocase(slice_after(pattern, 2), host);
}

bool policy_mta_sts_allows(const struct policy_mta_sts *policy, struct slice mx_host)
{
    struct slice rest = policy->text, pattern;

    mx_host = policy_domain_normal(mx_host);
    if (mx_host.len == 0)
        return false;
    while (policy_mta_sts_pattern_next(&rest, &pattern))
        if (is_match(pattern, mx_host))
            return true;
    return false;
}
