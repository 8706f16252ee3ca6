#include "gateway/tls_judge.h"

#include <stdio.h>

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

static bool judge_certificate(struct config_tls_judge *judge,
                              const struct config_certificate *certificate, char *why,
                              size_t why_bytes)
{
    struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
    const struct tls_server_options options = { .certificates = files,
                                                .certificates_count = certificate->pairs_count,
                                                .min_version = TLS_VERSION_1_2 };
    struct tls_context *context = NULL;
    struct tls_error error = { 0 };
    enum status status;

    (void)judge;
    for (size_t k = 0; k < certificate->pairs_count; k++)
        files[k] = (struct tls_certificate_files){ certificate->pairs[k].chain_path,
                                                   certificate->pairs[k].key_path };
    status = tls_context_create_server(&options, &context, &error);
    if (status == STATUS_OK && error.text[0] == '\0' && tls_context_is_self_signed(context))
        (void)snprintf(error.text, sizeof(error.text),
                       "%s is self-signed, a demonstration certificate: whoever verifies it will "
                       "not send mail here",
                       certificate->pairs[0].chain_path);
    tls_context_destroy(context);
    return tell(status, &error, why, why_bytes);
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
