#include "gateway/tls_judge.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/certificate_watch.h"
#include "tls/context.h"
#include "tls/dkim.h"

/* The lowest version is asked for: it decides about no file. */
static bool tell(enum status status, const struct tls_error *error, char *why, size_t why_bytes)
{
    if (status != STATUS_OK || error->text[0] != '\0')
        (void)snprintf(why, why_bytes, "%s",
                       error->text[0] != '\0' ? error->text : status_text(status));
    return status == STATUS_OK;
}

/* The pairs from first on. */
static enum status load(const struct config_certificate *certificate, size_t first, size_t count,
                        struct tls_context **context_out, struct tls_error *error_out)
{
    struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
    const struct tls_server_options options = { .certificates = files,
                                                .certificates_count = count,
                                                .min_version = TLS_VERSION_1_2 };

    ASSERT(first + count <= CONFIG_CERTIFICATE_PAIRS_MAX);
    for (size_t k = 0; k < count; k++)
        files[k] = (struct tls_certificate_files){ certificate->pairs[first + k].chain_path,
                                                   certificate->pairs[first + k].key_path };
    return tls_context_create_server(&options, context_out, error_out);
}

static bool judge_certificate(struct config_tls_judge *judge,
                              const struct config_certificate *certificate, char *why,
                              size_t why_bytes)
{
    struct tls_context *context = NULL;
    struct tls_error error = { 0 };
    enum status status = load(certificate, 0, certificate->pairs_count, &context, &error);

    (void)judge;
    if (status == STATUS_OK && error.text[0] == '\0' && tls_context_is_self_signed(context))
        (void)snprintf(error.text, sizeof(error.text),
                       "%s is self-signed, a demonstration certificate: whoever verifies it will "
                       "not send mail here",
                       certificate->pairs[0].chain_path);
    tls_context_destroy(context);
    return tell(status, &error, why, why_bytes);
}

/* Behind what is said already, unless it is. */
static void add(const char *what, char *why, size_t why_bytes)
{
    size_t len = strlen(why);

    if (strstr(why, what) == NULL)
        (void)snprintf(why + len, why_bytes - len, "%s%s", len > 0 ? "; " : "", what);
}

/* Each pair by itself, so that its file can be named. What has expired was warned of when it was
 * loaded, but of several pairs only the last one. */
static bool judge_ahead(struct config_tls_judge *judge,
                        const struct config_certificate *certificate, char *why, size_t why_bytes)
{
    char end[GATEWAY_CERTIFICATE_END_MAX];
    int64_t now_s = clock_wall_s();

    if (!judge_certificate(judge, certificate, why, why_bytes))
        return false;
    for (size_t k = 0; k < certificate->pairs_count; k++) {
        struct tls_context *context = NULL;
        struct tls_error said = { 0 };
        int64_t expires_s;
        unsigned stage;

        if (load(certificate, k, 1, &context, &said) != STATUS_OK)
            continue; /* the files have changed since */
        expires_s = tls_context_expires_wall_s(context);
        tls_context_destroy(context);
        if (said.text[0] != '\0')
            add(said.text, why, why_bytes);
        stage = gateway_certificate_stage(expires_s, now_s);
        if (stage == GATEWAY_CERTIFICATE_EXPIRED || stage > GATEWAY_TLS_JUDGE_AHEAD_DAYS)
            continue;
        (void)snprintf(said.text, sizeof(said.text), "%s %s", certificate->pairs[k].chain_path,
                       gateway_certificate_end(expires_s, now_s, end));
        add(said.text, why, why_bytes);
    }
    return true;
}

static bool judge_authorities(struct config_tls_judge *judge, const char *ca_path, char *why,
                              size_t why_bytes)
{
    const struct tls_trust_files files = { .ca_file = ca_path };
    struct tls_trust *trust = NULL;
    struct tls_error error = { 0 };
    enum status status = tls_trust_create(&files, &trust, &error);

    (void)judge;
    tls_trust_release(trust);
    return tell(status, &error, why, why_bytes);
}

static bool judge_signing_key(struct config_tls_judge *judge, const char *key_path, char *why,
                              size_t why_bytes)
{
    struct tls_dkim_key *key = NULL;
    struct tls_error error = { 0 };
    enum status status = tls_dkim_key_load(key_path, &key, &error);

    (void)judge;
    tls_dkim_key_destroy(key);
    return tell(status, &error, why, why_bytes);
}

struct config_tls_judge *gateway_tls_judge(void)
{
    static struct config_tls_judge judge = {
        .certificate = judge_certificate,
        .authorities = judge_authorities,
        .signing_key = judge_signing_key,
    };

    return &judge;
}

struct config_tls_judge *gateway_tls_judge_ahead(void)
{
    static struct config_tls_judge judge = {
        .certificate = judge_ahead,
        .authorities = judge_authorities,
        .signing_key = judge_signing_key,
    };

    return &judge;
}
