#include "gateway/queue_filter.h"

#include <string.h>

static const char *const verbs[GATEWAY_QUEUE_VERBS_COUNT] = {
    [GATEWAY_QUEUE_LIST] = "list",       [GATEWAY_QUEUE_SUMMARY] = "summary",
    [GATEWAY_QUEUE_SHOW] = "show",       [GATEWAY_QUEUE_HOLD] = "hold",
    [GATEWAY_QUEUE_RELEASE] = "release", [GATEWAY_QUEUE_RETRY] = "retry",
    [GATEWAY_QUEUE_BOUNCE] = "bounce",   [GATEWAY_QUEUE_DELETE] = "delete",
    [GATEWAY_QUEUE_FLUSH] = "flush",
};

const char *gateway_queue_verb_name(enum gateway_queue_verb verb)
{
    ASSERT(verb < GATEWAY_QUEUE_VERBS_COUNT);
    return verbs[verb];
}

/* --- values ---------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~@+=<>", c) != NULL);
}

bool gateway_queue_encode(struct slice value, char *text, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        size_t bytes = is_plain((char)c) ? 1 : 3;

        if (room - len <= bytes)
            return false;
        if (bytes == 1) {
            text[len] = (char)c;
        } else {
            text[len] = '%';
            text[len + 1] = digits[c >> 4];
            text[len + 2] = digits[c & 15];
        }
        len += bytes;
    }
    if (len >= room)
        return false;
    text[len] = '\0';
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* False: it is too long, holds a NUL, or a percent sign without its digits. */
static bool decode(struct slice value, char *text, size_t room)
{
    size_t len = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];

        if (c == '%') {
            bool is_whole = value.len - i > 2;
            int high = is_whole ? hex_digit(value.data[i + 1]) : -1;
            int low = is_whole ? hex_digit(value.data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || len + 1 >= room)
            return false;
        text[len++] = c;
    }
    text[len] = '\0';
    return true;
}

/* --- words ----------------------------------------------------------------------------------- */

unsigned gateway_queue_mid_place(const struct gateway_queue_filter *f, uint64_t mid)
{
    unsigned i = 0;

    while (i < f->mids_count && f->mids[i] != mid)
        i++;
    return i;
}

/* One that comes twice is kept once. */
static bool take_mid(struct slice value, struct gateway_queue_filter *f)
{
    uint64_t mid;

    if (!slice_to_number(value, UINT64_MAX, &mid) || mid == 0)
        return false;
    if (gateway_queue_mid_place(f, mid) < f->mids_count)
        return true;
    if (f->mids_count == GATEWAY_QUEUE_MIDS_MAX)
        return false;
    f->mids[f->mids_count++] = mid;
    return true;
}

static bool take_domain(struct slice value, struct gateway_queue_filter *f)
{
    return f->domain[0] == '\0' && decode(value, f->domain, sizeof(f->domain)) &&
           f->domain[0] != '\0';
}

static bool take_sender(struct slice value, struct gateway_queue_filter *f)
{
    if (f->has_sender || !decode(value, f->sender, sizeof(f->sender)) || f->sender[0] == '\0')
        return false;
    f->has_sender = true;
    if (strcmp(f->sender, "<>") == 0)
        f->sender[0] = '\0';
    return true;
}

static bool take_older(struct slice value, struct gateway_queue_filter *f)
{
    return f->older_s == 0 && slice_to_number(value, GATEWAY_QUEUE_OLDER_MAX, &f->older_s) &&
           f->older_s > 0;
}

static bool take_limit(struct slice value, struct gateway_queue_filter *f)
{
    return f->limit == 0 && slice_to_number(value, UINT64_MAX, &f->limit) && f->limit > 0;
}

static bool take_held(struct slice value, struct gateway_queue_filter *f)
{
    f->is_held = true;
    return value.len == 0;
}

static bool take_all(struct slice value, struct gateway_queue_filter *f)
{
    f->is_all = true;
    return value.len == 0;
}

static const struct {
    const char *name;
    bool (*take)(struct slice value, struct gateway_queue_filter *f);
    const char *why; /* it was not taken */
} words[] = {
    { "mid", take_mid, "mid= wants a number from 1 up, and there are at most 32 of them" },
    { "domain", take_domain, "domain= wants a name of at most 255 bytes, once" },
    { "sender", take_sender, "sender= wants an address of at most 511 bytes, or <>, once" },
    { "older", take_older, "older= wants a number of seconds from 1 up, once" },
    { "limit", take_limit, "limit= wants a number from 1 up, once" },
    { "held", take_held, "held has no value" },
    { "all", take_all, "all has no value" },
};

static bool take_word(struct slice word, struct gateway_queue_filter *f, const char **why_out)
{
    struct slice value = word, name = slice_cut(&value, '=');

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!slice_equal(name, slice_from(words[i].name)))
            continue;
        *why_out = words[i].why;
        return words[i].take(value, f);
    }
    *why_out = "there are: mid= domain= sender= older= limit= held all";
    return false;
}

bool gateway_queue_is_chosen(const struct gateway_queue_filter *f)
{
    return f->mids_count > 0 || f->domain[0] != '\0' || f->has_sender || f->older_s > 0 ||
           f->is_held || f->is_all;
}

/* What a verb wants to be told. */
static bool is_complete(const struct gateway_queue_request *r, const char **why_out)
{
    const struct gateway_queue_filter *f = &r->filter;

    if (r->verb == GATEWAY_QUEUE_FLUSH) {
        *why_out = "flush wants a domain, and nothing else";
        return f->domain[0] != '\0' && f->domain[0] != '.' && f->mids_count == 0 &&
               !f->has_sender && f->older_s == 0 && !f->is_held && !f->is_all && f->limit == 0;
    }
    if (r->verb == GATEWAY_QUEUE_SHOW) {
        *why_out = "show wants a MID";
        return f->mids_count > 0;
    }
    *why_out = "which entries? all of them are meant by: all";
    return r->verb < GATEWAY_QUEUE_HOLD || gateway_queue_is_chosen(f);
}

bool gateway_queue_parse(struct slice text, struct gateway_queue_request *request_out,
                         const char **why_out)
{
    struct slice rest = slice_trim(text), name = slice_cut(&rest, ' ');
    struct gateway_queue_request r = { .verb = GATEWAY_QUEUE_VERBS_COUNT };

    for (unsigned verb = 0; verb < GATEWAY_QUEUE_VERBS_COUNT; verb++)
        if (slice_equal(name, slice_from(verbs[verb])))
            r.verb = (enum gateway_queue_verb)verb;
    if (r.verb == GATEWAY_QUEUE_VERBS_COUNT) {
        *why_out = "there are: queue list, summary, show, hold, release, retry, bounce, delete, "
                   "flush";
        return false;
    }
    for (rest = slice_trim(rest); rest.len > 0; rest = slice_trim(rest))
        if (!take_word(slice_cut(&rest, ' '), &r.filter, why_out))
            return false;
    if (!is_complete(&r, why_out))
        return false;
    *request_out = r;
    return true;
}

/* --- entries --------------------------------------------------------------------------------- */

static bool has_mid(const struct gateway_queue_filter *f, uint64_t mid)
{
    return f->mids_count == 0 || gateway_queue_mid_place(f, mid) < f->mids_count;
}

static bool has_domain(const struct gateway_queue_filter *f, struct slice domain)
{
    struct slice wanted = slice_from(f->domain);

    if (wanted.len == 0)
        return true;
    return f->domain[0] == '.' ? slice_ends_nocase(domain, wanted)
                               : slice_equal_nocase(domain, wanted);
}

static bool has_sender(const struct gateway_queue_filter *f, struct slice sender)
{
    struct slice wanted = slice_from(f->sender);

    if (!f->has_sender)
        return true;
    return f->sender[0] == '@' ? slice_ends_nocase(sender, wanted)
                               : slice_equal_nocase(sender, wanted);
}

bool gateway_queue_matches(const struct gateway_queue_filter *f,
                           const struct gateway_queue_facts *facts, int64_t now_wall_s)
{
    if (!has_mid(f, facts->mid) || (f->is_held && !facts->is_held))
        return false;
    if (f->older_s > 0 && now_wall_s - facts->arrival_wall_s <= (int64_t)f->older_s)
        return false;
    return has_domain(f, facts->domain) && has_sender(f, facts->sender);
}
