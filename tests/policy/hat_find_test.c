/* The compiled HAT against a scan that does what policy/hat.h says, over random tables and facts.
 * The scan knows only what policy_sender_parse() says of each entry. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/policy/hat_sample.h"

#define ROWS_MAX  8
#define TABLES    800
#define SENDERS   1400 /* of each table: more than a million comparisons */
#define LISTS_MAX 4

static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % below;
}

static const char *const zones[LISTS_MAX] = { "a.list", "b.list", "c.list", "d.list" };
static const char *const countries[] = { "DE", "US", "ZZ", "AA" };
static const char *const names[] = { "a.example",  "b.a.example", "c.b.a.example",
                                     "example",    "x.a.example", "a.b.example",
                                     "A.Example.", "org",         "z.c.b.a.example" };

/* An entry as the scan sees it. */
struct plain {
    size_t row;
    const char *text;
    struct policy_sender_entry said;
};

struct table {
    struct row rows[ROWS_MAX];
    char texts[ROWS_MAX][ENTRIES_MAX][96];
    size_t rows_count;
    struct plain plain[ROWS_MAX * ENTRIES_MAX];
    size_t plain_count;
    struct policy_snapshot *snapshot;
    const struct policy_hat *hat;
    size_t list_numbers[LISTS_MAX]; /* of the zones in the HAT; LISTS_MAX: not in it */
};

struct facts {
    struct policy_sender sender;
    struct policy_listing listings[LISTS_MAX];
};

/* Few values on purpose, so that ranges nest, overlap and meet. */
static void draw_v4(char text[static 96])
{
    unsigned a = draw(2) * 245 + 10, b = draw(3), c = draw(2) * 128, d = draw(8);

    switch (draw(8)) {
    case 0: (void)snprintf(text, 96, "%u.%u.%u.%u", a, b, c, d); break;
    case 1: (void)snprintf(text, 96, "%u.%u.%u.%u-%u", a, b, c, d, d + draw(9)); break;
    case 2: (void)snprintf(text, 96, "%u.%u.%u-%u", a, b, c, c + draw(128)); break;
    case 3: (void)snprintf(text, 96, "%u.%u-%u.", a, b, b + draw(3)); break;
    case 4: (void)snprintf(text, 96, "%u-%u", draw(11), 10 + draw(246)); break;
    case 5: (void)snprintf(text, 96, "%u.%u.%u%s", a, b, c, draw(2) ? "." : ""); break;
    case 6: (void)snprintf(text, 96, "%u.%u/%u", a, b, draw(33)); break;
    default: (void)snprintf(text, 96, "%u.%u.%u.%u/%u", a, b, c, d, draw(33)); break;
    }
}

static void draw_v6(char text[static 96])
{
    static const unsigned bits[] = { 0, 1, 16, 31, 32, 33, 47, 48, 64, 96, 120, 127, 128 };
    unsigned high = draw(3), low = draw(8);

    switch (draw(6)) {
    case 0: (void)snprintf(text, 96, "2001:db8:%x::%x", high, low); break;
    case 1:
        (void)snprintf(text, 96, "2001:db8:%x::%x-2001:db8:%x::%x", high, low, high + draw(2),
                       low + draw(4));
        break;
    case 2: (void)snprintf(text, 96, "2001:db8:%x-%x::", high, high + draw(3)); break;
    case 3:
        (void)snprintf(text, 96, draw(2) ? "::/80" : "::%x-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                       low);
        break;
    default:
        (void)snprintf(text, 96, "2001:db8:%x::%x/%u", high, low, bits[draw(ARRAY_LEN(bits))]);
        break;
    }
}

static void draw_list(char text[static 96])
{
    const char *zone = zones[draw(LISTS_MAX)];

    switch (draw(4)) {
    case 0: (void)snprintf(text, 96, "dnslist[%s]", zone); break;
    case 1: (void)snprintf(text, 96, "dnslist[%s=127.0.0.%u]", zone, draw(6)); break;
    case 2:
        (void)snprintf(text, 96, "dnslist[%s=127.0.0.%u-%u]", zone, draw(4), 3 + draw(9));
        break;
    default: (void)snprintf(text, 96, "dnslist[%s=127.0.%u/24]", zone, draw(2)); break;
    }
}

static void draw_entry(char text[static 96])
{
    static const char *const reverses[] = { "nx.domain", "serv.fail", "not.double.verified" };
    int low = (int)draw(201) - 100;

    switch (draw(12)) {
    case 0: (void)snprintf(text, 96, "%s", names[draw(ARRAY_LEN(names))]); break;
    case 1: (void)snprintf(text, 96, ".%s", names[draw(ARRAY_LEN(names))]); break;
    case 2: (void)snprintf(text, 96, "%s", reverses[draw(ARRAY_LEN(reverses))]); break;
    case 3: draw_list(text); break;
    case 4:
        (void)snprintf(text, 96, "SBRS[%.1f:%.1f]", low / 10.0,
                       (low + (int)draw((unsigned)(101 - low))) / 10.0);
        break;
    case 5: (void)snprintf(text, 96, "geo[%s]", countries[draw(ARRAY_LEN(countries))]); break;
    case 6: (void)snprintf(text, 96, "%s", draw(12) == 0 ? "ALL" : "SBRS[none]"); break;
    case 7:
    case 8: draw_v6(text); break;
    default: draw_v4(text); break;
    }
}

static void draw_address(struct ip_address *a)
{
    char text[64];

    if (draw(3) == 0)
        (void)snprintf(text, sizeof(text), "%s%x::%x", draw(9) ? "2001:db8:" : "", draw(6),
                       draw(12));
    else if (draw(20) == 0)
        (void)snprintf(text, sizeof(text), "::%x:%x", draw(9), draw(9) * 0x1fff);
    else
        (void)snprintf(text, sizeof(text), "%u.%u.%u.%u",
                       draw(3) == 0 ? draw(256) : draw(2) * 245 + 10, draw(6),
                       draw(2) * 128 + draw(2), draw(18));
    assert_true(ip_parse(slice_from(text), a));
}

static void draw_reverse(struct policy_sender *s)
{
    s->reverse = (enum policy_reverse)(POLICY_REVERSE_VERIFIED + draw(4));
    s->name = SLICE("");
    if (s->reverse == POLICY_REVERSE_VERIFIED || s->reverse == POLICY_REVERSE_MISMATCHED)
        s->name = slice_from(names[draw(ARRAY_LEN(names))]);
}

static void draw_score(struct policy_score *score)
{
    *score =
        (struct policy_score){ .state = (enum policy_score_state)(POLICY_SCORE_KNOWN + draw(3)) };
    if (score->state == POLICY_SCORE_KNOWN)
        score->tenths = (int)draw(201) - 100;
}

static void draw_country(struct policy_sender *s)
{
    s->is_country_known = true;
    s->country = draw(4) == 0 ? SLICE("") : slice_from(countries[draw(ARRAY_LEN(countries))]);
}

static void draw_listing(struct policy_listing *l)
{
    *l = (struct policy_listing){ .state = (enum policy_listing_state)(POLICY_LISTING_LISTED +
                                                                       draw(3)) };
    if (l->state != POLICY_LISTING_LISTED)
        return;
    l->addresses_count = draw(3);
    for (size_t i = 0; i < l->addresses_count; i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), draw(9) == 0 ? "::%u:%u" : "127.0.%u.%u", draw(2),
                       draw(12));
        assert_true(ip_parse(slice_from(text), &l->addresses[i]));
    }
}

static void draw_unknown(struct facts *f)
{
    if (f->sender.reverse == POLICY_REVERSE_UNKNOWN && f->sender.name.len == 0)
        draw_reverse(&f->sender);
    else if (f->sender.reverse == POLICY_REVERSE_UNKNOWN)
        f->sender.reverse = draw(2) ? POLICY_REVERSE_VERIFIED : POLICY_REVERSE_MISMATCHED;
    if (f->sender.score.state == POLICY_SCORE_UNKNOWN)
        draw_score(&f->sender.score);
    if (!f->sender.is_country_known)
        draw_country(&f->sender);
    for (size_t i = 0; i < LISTS_MAX; i++)
        if (f->listings[i].state == POLICY_LISTING_UNKNOWN)
            draw_listing(&f->listings[i]);
}

/* Everything that is not drawn stays unknown; of the lists, some may not even be there. */
static void draw_facts(struct facts *f)
{
    *f = (struct facts){ .sender = { .listings = f->listings, .listings_count = draw(6) } };
    draw_address(&f->sender.address);
    if (f->sender.listings_count > LISTS_MAX)
        f->sender.listings_count = LISTS_MAX;
    if (draw(3) > 0)
        draw_reverse(&f->sender);
    else if (draw(2) > 0)
        f->sender.name = slice_from(names[draw(ARRAY_LEN(names))]);
    if (draw(3) > 0)
        draw_score(&f->sender.score);
    if (draw(3) > 0)
        draw_country(&f->sender);
    for (size_t i = 0; i < f->sender.listings_count; i++)
        if (draw(3) > 0)
            draw_listing(&f->listings[i]);
}

static void make_table(struct table *t, unsigned seed)
{
    random_state = seed;
    *t = (struct table){ .rows_count = 1 + draw(ROWS_MAX) };
    for (size_t i = 0; i < t->rows_count; i++) {
        t->rows[i].group = "g";
        t->rows[i].access = draw(5) == 0 ? POLICY_ACCESS_CONTINUE : POLICY_ACCESS_ACCEPT;
        for (size_t k = draw(ENTRIES_MAX + 1); k-- > 0;) {
            draw_entry(t->texts[i][k]);
            t->rows[i].entries[k] = t->texts[i][k];
        }
    }
    t->rows[t->rows_count - 1].access = POLICY_ACCESS_REJECT;
    t->rows[t->rows_count - 1].entries[0] = "ALL";
    for (size_t i = 0; i < t->rows_count; i++) {
        for (size_t k = 0; k < ENTRIES_MAX && t->rows[i].entries[k] != NULL; k++) {
            struct plain *p = &t->plain[t->plain_count++];

            p->row = i;
            p->text = t->rows[i].entries[k];
            if (policy_sender_parse(slice_from(p->text), &p->said) != NULL)
                fail_msg("seed %u: %s is not a sender", seed, p->text);
        }
    }
    assert_int_equal(build(t->rows, t->rows_count, &t->snapshot), STATUS_OK);
    t->hat = policy_snapshot_hat(t->snapshot, SLICE("h"));
    for (size_t i = 0; i < LISTS_MAX; i++) {
        t->list_numbers[i] = LISTS_MAX;
        for (size_t k = 0; k < policy_hat_lists_count(t->hat); k++)
            if (slice_equal(policy_hat_list_zone(t->hat, k), slice_from(zones[i])))
                t->list_numbers[i] = k;
    }
}

static bool is_between(const struct policy_address_range *r, const struct ip_address *a)
{
    for (unsigned end = 0; end < 2; end++) {
        const uint8_t *low = end == 0 ? r->first.bytes : a->bytes;
        const uint8_t *high = end == 0 ? a->bytes : r->last.bytes;
        unsigned i = 0;

        while (i < 15 && low[i] == high[i])
            i++;
        if (low[i] > high[i])
            return false;
    }
    return ip_is_v4(&r->first) == ip_is_v4(a);
}

/* A name by its last labels: a dot in front wants something before it. */
static bool name_matches(struct slice pattern, struct slice name)
{
    char a[300], b[300];

    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < pattern.len; i++)
        a[i] = ascii_lower(pattern.data[i]);
    for (size_t i = 0; i < name.len; i++)
        b[i] = ascii_lower(name.data[i]);
    if (pattern.data[0] != '.')
        return pattern.len == name.len && memcmp(a, b, name.len) == 0;
    return pattern.len < name.len && memcmp(a, b + name.len - pattern.len, pattern.len) == 0;
}

static bool list_matches(const struct table *t, const struct policy_sender_entry *e,
                         const struct policy_sender *s)
{
    size_t zone = 0, number;

    while (!slice_equal(e->name, slice_from(zones[zone])))
        zone++;
    number = t->list_numbers[zone];
    if (number >= s->listings_count || s->listings[number].state != POLICY_LISTING_LISTED)
        return false;
    for (size_t i = 0; e->has_answer && i < s->listings[number].addresses_count; i++)
        if (is_between(&e->range, &s->listings[number].addresses[i]))
            return true;
    return !e->has_answer;
}

static bool plain_matches(const struct table *t, const struct policy_sender_entry *e,
                          const struct policy_sender *s)
{
    switch (e->form) {
    case POLICY_SENDER_INVALID: break;
    case POLICY_SENDER_ALL: return true;
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE: return is_between(&e->range, &s->address);
    case POLICY_SENDER_NAME:
    case POLICY_SENDER_PARTIAL:
        return s->reverse == POLICY_REVERSE_VERIFIED && name_matches(e->name, s->name);
    case POLICY_SENDER_LIST: return list_matches(t, e, s);
    case POLICY_SENDER_REVERSE: return s->reverse == e->reverse;
    case POLICY_SENDER_SCORE:
        return s->score.state == POLICY_SCORE_KNOWN && s->score.tenths >= e->tenths_min &&
               s->score.tenths <= e->tenths_max;
    case POLICY_SENDER_NO_SCORE:
        return s->score.state == POLICY_SCORE_NONE || s->score.state == POLICY_SCORE_FAILED;
    case POLICY_SENDER_COUNTRY:
        return s->is_country_known && s->country.len == 2 &&
               memcmp(s->country.data, e->country, 2) == 0;
    }
    return false;
}

static size_t scan(const struct table *t, const struct policy_sender *s)
{
    for (size_t i = 0; i < t->plain_count; i++)
        if (t->rows[t->plain[i].row].access != POLICY_ACCESS_CONTINUE &&
            plain_matches(t, &t->plain[i].said, s))
            return i;
    fail_msg("no entry matches");
    return 0;
}

static void find_agrees_with_a_scan_from_the_first_row(void **unused)
{
    static struct table t;
    struct facts f;

    (void)unused;
    print_message("seeds 1 to %u\n", TABLES);
    for (unsigned seed = 1; seed <= TABLES; seed++) {
        make_table(&t, seed);
        for (unsigned i = 0; i < SENDERS; i++) {
            struct policy_sender_verdict v;
            size_t expected;

            draw_facts(&f);
            v = policy_hat_find(t.hat, &f.sender);
            expected = scan(&t, &f.sender);
            if (v.number != expected || v.row != t.plain[expected].row ||
                !slice_equal(policy_hat_entry_text(t.hat, v.number),
                             slice_from(t.plain[expected].text)))
                fail_msg("seed %u sender %u: row %zu (%.*s), the scan says %zu (%s)", seed, i,
                         v.row, SLICE_ARGS(policy_hat_entry_text(t.hat, v.number)),
                         t.plain[expected].row, t.plain[expected].text);
        }
        policy_snapshot_destroy(t.snapshot);
    }
}

static size_t row_of(const struct table *t, const struct facts *f)
{
    struct policy_sender s = f->sender;

    s.listings = f->listings;
    return t->plain[scan(t, &s)].row;
}

/* Copies the value of one fact: 0 reverse, 1 score, 2 country, from 3 on the lists. */
static void set_fact(struct facts *to, const struct facts *from, size_t fact)
{
    if (fact == 0) {
        to->sender.reverse = from->sender.reverse;
        to->sender.name = from->sender.name;
    } else if (fact == 1) {
        to->sender.score = from->sender.score;
    } else if (fact == 2) {
        to->sender.is_country_known = from->sender.is_country_known;
        to->sender.country = from->sender.country;
    } else {
        to->listings[fact - 3] = from->listings[fact - 3];
        to->sender.listings_count = LISTS_MAX;
    }
}

static bool is_needed(const struct policy_hat_needs *needs, size_t fact)
{
    return fact == 0   ? needs->reverse
           : fact == 1 ? needs->score
           : fact == 2 ? needs->country
                       : (needs->listings >> (fact - 3) & 1) != 0;
}

static bool is_unknown(const struct facts *f, size_t fact)
{
    return fact == 0   ? f->sender.reverse == POLICY_REVERSE_UNKNOWN
           : fact == 1 ? f->sender.score.state == POLICY_SCORE_UNKNOWN
           : fact == 2 ? !f->sender.is_country_known
                       : f->listings[fact - 3].state == POLICY_LISTING_UNKNOWN;
}

/* Gives the fact the value that this entry wants; false when it wants another fact. */
static bool wish(const struct table *t, const struct policy_sender_entry *e, size_t fact,
                 struct facts *f, char name[static 300])
{
    if (fact == 0 && (e->form == POLICY_SENDER_NAME || e->form == POLICY_SENDER_PARTIAL)) {
        bool is_fixed = f->sender.name.len > 0;

        (void)snprintf(name, 300, "%s%.*s", e->form == POLICY_SENDER_PARTIAL ? "q" : "",
                       SLICE_ARGS(e->name));
        f->sender.reverse = POLICY_REVERSE_VERIFIED;
        if (!is_fixed)
            f->sender.name = slice_from(name);
        return true;
    }
    if (fact == 0 && e->form == POLICY_SENDER_REVERSE) {
        if (f->sender.name.len > 0 && e->reverse != POLICY_REVERSE_MISMATCHED)
            return false;
        f->sender.reverse = e->reverse;
        return true;
    }
    if (fact == 1 && (e->form == POLICY_SENDER_SCORE || e->form == POLICY_SENDER_NO_SCORE)) {
        f->sender.score.state =
            e->form == POLICY_SENDER_SCORE ? POLICY_SCORE_KNOWN : POLICY_SCORE_NONE;
        f->sender.score.tenths = e->tenths_min;
        return true;
    }
    if (fact == 2 && e->form == POLICY_SENDER_COUNTRY) {
        f->sender.is_country_known = true;
        f->sender.country = (struct slice){ e->country, 2 };
        return true;
    }
    if (fact >= 3 && e->form == POLICY_SENDER_LIST &&
        slice_equal(e->name, policy_hat_list_zone(t->hat, fact - 3))) {
        f->listings[fact - 3] =
            (struct policy_listing){ POLICY_LISTING_LISTED, { e->range.first }, e->has_answer };
        f->sender.listings_count = LISTS_MAX;
        return true;
    }
    return false;
}

/* Whether some value of the fact alone changes the row. */
static bool can_change(const struct table *t, const struct facts *known, size_t fact)
{
    size_t row = row_of(t, known);
    char name[300];

    for (size_t i = 0; i < t->plain_count; i++) {
        struct facts f = *known;

        if (wish(t, &t->plain[i].said, fact, &f, name) && row_of(t, &f) != row)
            return true;
    }
    return false;
}

static void check_needs(const struct table *t, const struct facts *known, unsigned seed)
{
    size_t facts_count = 3 + policy_hat_lists_count(t->hat);
    struct policy_hat_needs needs;
    bool any = false;

    policy_hat_needs(t->hat, &known->sender, &needs);
    for (size_t fact = 0; fact < facts_count; fact++) {
        bool is_open = is_unknown(known, fact);

        any = any || is_needed(&needs, fact);
        if (is_needed(&needs, fact) != (is_open && can_change(t, known, fact)))
            fail_msg("seed %u: fact %zu is %sneeded", seed, fact,
                     is_needed(&needs, fact) ? "" : "not ");
        for (unsigned i = 0; is_open && !is_needed(&needs, fact) && i < 4; i++) {
            struct facts with = *known, without;

            draw_unknown(&with); /* whatever the others turn out to be */
            with.sender.listings_count = LISTS_MAX;
            without = with;
            set_fact(&without, known, fact);
            if (row_of(t, &with) != row_of(t, &without))
                fail_msg("seed %u: fact %zu is not needed, and matters", seed, fact);
        }
    }
    assert_int_equal(needs.any, any);
}

static void a_fact_is_needed_exactly_when_it_can_change_the_row(void **unused)
{
    static struct table t;
    struct facts f;

    (void)unused;
    for (unsigned seed = 1; seed <= TABLES; seed++) {
        make_table(&t, seed * 31);
        for (unsigned i = 0; i < 60; i++) {
            draw_facts(&f);
            check_needs(&t, &f, seed * 31);
        }
        policy_snapshot_destroy(t.snapshot);
    }
}

static void a_shadowed_entry_is_never_the_verdict(void **unused)
{
    static struct table t;
    struct facts f;

    (void)unused;
    for (unsigned seed = 1; seed <= TABLES; seed++) {
        const uint32_t *shadows;
        struct arena scratch;

        make_table(&t, seed * 77);
        arena_init(&scratch, SIZE_MAX);
        assert_int_equal(policy_hat_shadows(t.hat, &scratch, &shadows), STATUS_OK);
        for (unsigned i = 0; i < 200; i++) {
            size_t number;

            draw_facts(&f);
            number = policy_hat_find(t.hat, &f.sender).number;
            if (shadows[number] != POLICY_NO_SHADOW)
                fail_msg("seed %u: %s is said to be hidden by %s", seed * 77, t.plain[number].text,
                         t.plain[shadows[number]].text);
        }
        arena_finish(&scratch);
        policy_snapshot_destroy(t.snapshot);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_agrees_with_a_scan_from_the_first_row),
        cmocka_unit_test(a_fact_is_needed_exactly_when_it_can_change_the_row),
        cmocka_unit_test(a_shadowed_entry_is_never_the_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
