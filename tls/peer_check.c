#include "tls/peer_check.h"

#include <openssl/x509v3.h>

#include "base/check.h"
#include "tls/internal.h"
#include "tls/text.h"

/* Which names of the certificate a step looks at. */
enum source {
    COMMON_NAME,
    ALTERNATIVES,
    EITHER /* the common name where there are no alternatives */
};

struct step {
    enum source source;
    enum tls_check_input input;
    bool is_further; /* only with more_steps */
};

static const struct step verify_steps[] = {
    { COMMON_NAME, TLS_CHECK_DOMAIN, false },  { COMMON_NAME, TLS_CHECK_PTR, false },
    { ALTERNATIVES, TLS_CHECK_DOMAIN, false }, { ALTERNATIVES, TLS_CHECK_PTR, true },
    { COMMON_NAME, TLS_CHECK_ROUTE, true },    { ALTERNATIVES, TLS_CHECK_ROUTE, true },
};

static const struct step hosted_steps[] = {
    { EITHER, TLS_CHECK_DOMAIN, false },
    { EITHER, TLS_CHECK_ROUTE, false },
    { EITHER, TLS_CHECK_MX, false },
};

static const struct step mta_sts_steps[] = {
    { ALTERNATIVES, TLS_CHECK_MX, false },
};

static const struct {
    const struct step *steps;
    size_t count;
} algorithms[] = {
    [TLS_CHECK_VERIFY] = { verify_steps, ARRAY_LEN(verify_steps) },
    [TLS_CHECK_HOSTED] = { hosted_steps, ARRAY_LEN(hosted_steps) },
    [TLS_CHECK_MTA_STS] = { mta_sts_steps, ARRAY_LEN(mta_sts_steps) },
};

/* One comparison of two lists of names. */
struct check {
    const struct tls_peer_names *names;
    struct tls_hosts inputs[TLS_CHECK_INPUTS_COUNT]; /* only those that the algorithm looks at */
    const struct step *steps;
    size_t steps_count;
    bool more_steps;
    bool common_name_counts; /* besides alternatives */
    struct slice wanted, name;
};

const char *tls_check_input_text(enum tls_check_input input)
{
    static const char *const texts[TLS_CHECK_INPUTS_COUNT] = {
        [TLS_CHECK_DOMAIN] = "email domain",
        [TLS_CHECK_PTR] = "PTR host",
        [TLS_CHECK_ROUTE] = "SMTP route host",
        [TLS_CHECK_MX] = "MX host",
    };

    ASSERT((unsigned)input < TLS_CHECK_INPUTS_COUNT);
    return texts[input];
}

static void plan(struct check *c, enum tls_check_algorithm algorithm,
                 const struct tls_peer_wanted *wanted)
{
    const struct tls_hosts all[TLS_CHECK_INPUTS_COUNT] = {
        [TLS_CHECK_DOMAIN] = { &wanted->domain, wanted->domain.len > 0 },
        [TLS_CHECK_PTR] = wanted->ptr,
        [TLS_CHECK_ROUTE] = wanted->route,
        [TLS_CHECK_MX] = wanted->mx,
    };

    ASSERT((size_t)algorithm < ARRAY_LEN(algorithms));
    c->steps = algorithms[algorithm].steps;
    c->steps_count = algorithms[algorithm].count;
    c->more_steps = wanted->more_steps;
    c->common_name_counts = algorithm == TLS_CHECK_VERIFY ||
                            (algorithm == TLS_CHECK_HOSTED && !tls_peer_names_are_listed(c->names));
    for (size_t i = 0; i < c->steps_count; i++) {
        enum tls_check_input input = c->steps[i].input;

        if (c->steps[i].is_further && !c->more_steps)
            continue;
        /* A route takes the place of the MX records. */
        if (input == TLS_CHECK_MX && wanted->route.count > 0)
            continue;
        c->inputs[input] = all[input];
        if (c->inputs[input].count > TLS_CHECK_HOSTS_MAX)
            c->inputs[input].count = TLS_CHECK_HOSTS_MAX;
    }
}

static bool name_matches(struct check *c, struct slice name, struct tls_hosts hosts)
{
    for (size_t i = 0; i < hosts.count; i++) {
        if (!tls_peer_host_matches(name, hosts.names[i]))
            continue;
        c->name = name;
        c->wanted = hosts.names[i];
        return true;
    }
    return false;
}

static bool step_matches(struct check *c, const struct step *step)
{
    struct tls_hosts hosts = c->inputs[step->input];
    bool has_list = tls_peer_names_are_listed(c->names);

    if (step->is_further && !c->more_steps)
        return false;
    if (step->source == COMMON_NAME || (step->source == EITHER && !has_list))
        return name_matches(c, c->names->common_name, hosts);
    for (size_t i = 0; i < c->names->hosts_count; i++)
        if (name_matches(c, c->names->hosts[i], hosts))
            return true;
    return false;
}

/* --- what the log is told -------------------------------------------------------------------- */

struct list {
    struct tls_text *text;
    size_t count;
};

static void list_add(struct list *l, struct slice name, const char *note)
{
    if (l->count++ >= TLS_CHECK_SHOWN_MAX)
        return;
    tls_text_add(l->text, l->count > 1 ? ", " : "");
    tls_text_add_name(l->text, name, TLS_CHECK_SHOWN_BYTES);
    tls_text_add(l->text, note);
}

static void list_end(const struct list *l)
{
    if (l->count == 0)
        tls_text_add(l->text, "no name");
    if (l->count <= TLS_CHECK_SHOWN_MAX)
        return;
    tls_text_add(l->text, " and ");
    tls_text_add_number(l->text, l->count - TLS_CHECK_SHOWN_MAX);
    tls_text_add(l->text, " more");
}

static void say_match(const struct check *c, struct tls_peer_check *out)
{
    struct tls_text text;

    tls_text_begin(&text, out->wanted, sizeof(out->wanted));
    tls_text_add_name(&text, c->wanted, c->wanted.len);
    tls_text_begin(&text, out->name, sizeof(out->name));
    tls_text_add_name(&text, c->name, c->name.len);
    tls_text_begin(&text, out->text, sizeof(out->text));
    tls_text_add(&text, "matched ");
    tls_text_add(&text, out->name);
    if (out->name[0] == '*') {
        tls_text_add(&text, " for ");
        tls_text_add(&text, out->wanted);
    }
    tls_text_add(&text, " (");
    tls_text_add(&text, tls_check_input_text(out->input));
    tls_text_add(&text, ")");
}

static void say_tried(const struct check *c, char text_out[static TLS_CHECK_TEXT_MAX])
{
    struct tls_text text;
    struct list tried = { &text, 0 }, has = { &text, 0 };

    tls_text_begin(&text, text_out, TLS_CHECK_TEXT_MAX);
    tls_text_add(&text, "tried ");
    for (int i = 0; i < TLS_CHECK_INPUTS_COUNT; i++)
        for (size_t k = 0; k < c->inputs[i].count; k++)
            list_add(&tried, c->inputs[i].names[k], "");
    list_end(&tried);
    tls_text_add(&text, "; certificate has ");
    if (c->names->common_name.len > 0 && c->common_name_counts)
        list_add(&has, c->names->common_name, " (CN)");
    for (size_t i = 0; i < c->names->hosts_count; i++)
        list_add(&has, c->names->hosts[i], "");
    list_end(&has);
}

void tls_peer_check(const struct tls_peer_names *names, enum tls_check_algorithm algorithm,
                    const struct tls_peer_wanted *wanted, struct tls_peer_check *check_out)
{
    struct check c = { .names = names };

    plan(&c, algorithm, wanted);
    *check_out = (struct tls_peer_check){ .is_matched = false };
    for (size_t i = 0; i < c.steps_count && !check_out->is_matched; i++) {
        check_out->is_matched = step_matches(&c, &c.steps[i]);
        check_out->input = c.steps[i].input;
    }
    if (check_out->is_matched)
        say_match(&c, check_out);
    else
        say_tried(&c, check_out->text);
}

void tls_session_check_peer(const struct tls_session *s, enum tls_check_algorithm algorithm,
                            const struct tls_peer_wanted *wanted, struct tls_peer_check *check_out)
{
    const char *problem = tls_session_verify_problem(s);
    struct tls_peer_listing listing;
    struct tls_text text;

    if (problem == NULL && tls_dane_is_judge(s))
        problem = "judged by TLSA records, not by its names";
    if (problem == NULL && !tls_peer_listing_take(s, &listing))
        problem = "the names in the certificate cannot be read";
    if (problem == NULL) {
        tls_peer_check(&listing.names, algorithm, wanted, check_out);
        tls_peer_listing_finish(&listing);
        return;
    }
    *check_out = (struct tls_peer_check){ .is_matched = false };
    tls_text_begin(&text, check_out->text, sizeof(check_out->text));
    tls_text_add(&text, problem);
}
