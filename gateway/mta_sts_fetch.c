#include "gateway/mta_sts_fetch.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define URL_MAX     (DNS_NAME_MAX + 64)
#define RESOLVE_MAX (DNS_NAME_MAX + 16 + GATEWAY_MTA_STS_ADDRESSES_MAX * (IP_TEXT_MAX + 3))

void gateway_mta_sts_fetch_init(struct gateway_mta_sts_fetch *fetch)
{
    buffer_init(&fetch->body, POLICY_MTA_STS_TEXT_MAX);
}

void gateway_mta_sts_fetch_finish(struct gateway_mta_sts_fetch *fetch)
{
    buffer_finish(&fetch->body);
    free(fetch->ca_path);
    fetch->ca_path = NULL;
}

/* The words may be those of a certificate. */
PRINTF_LIKE(3, 4)
static void fail(struct gateway_mta_sts_fetch *fetch, enum observe_tls_result_type trouble,
                 const char *format, ...)
{
    va_list list;

    fetch->trouble = trouble;
    va_start(list, format);
    (void)vsnprintf(fetch->reason, sizeof(fetch->reason), format, list);
    va_end(list);
    for (char *c = fetch->reason; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* --- what libcurl calls ---------------------------------------------------------------------- */

/* Returning less than was given ends the transfer. */
static size_t on_body(char *data, size_t unit, size_t count, void *user)
{
    struct gateway_mta_sts_fetch *fetch = user;
    struct slice bytes = { data, unit * count };

    return buffer_append(&fetch->body, bytes) == STATUS_OK ? bytes.len : 0;
}

/* Called about once a second, whatever the transfer waits for. Not 0 ends it. */
static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct gateway_mta_sts_fetch *fetch = user;

    (void)down_total, (void)down, (void)up_total, (void)up;
    return atomic_load(fetch->is_stopped) ? 1 : 0;
}

/* --- the request ----------------------------------------------------------------------------- */

/* "host:443:192.0.2.1,[2001:db8::1]", CURLOPT_RESOLVE. NULL: no memory. */
static struct curl_slist *make_addresses(const struct gateway_mta_sts_fetch *fetch)
{
    char text[RESOLVE_MAX], address[IP_TEXT_MAX];
    int fill = snprintf(text, sizeof(text), "%s:%u:", fetch->host, fetch->port);

    for (size_t i = 0; i < fetch->addresses_count; i++) {
        bool is_v4 = ip_is_v4(&fetch->addresses[i]);

        fill +=
            snprintf(text + fill, sizeof(text) - (size_t)fill, "%s%s%s%s", i > 0 ? "," : "",
                     is_v4 ? "" : "[", ip_format(&fetch->addresses[i], address), is_v4 ? "" : "]");
    }
    ASSERT((size_t)fill < sizeof(text));
    return curl_slist_append(NULL, text);
}

/* Whom to ask and whom to believe. */
static bool set_peer(CURL *curl, const struct gateway_mta_sts_fetch *fetch,
                     struct curl_slist *addresses)
{
    char url[URL_MAX];
    bool ok;

    (void)snprintf(url, sizeof(url), "https://%s:%u/.well-known/mta-sts.txt", fetch->host,
                   fetch->port);
    ok = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_RESOLVE, addresses) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    /* A list that was named is the whole list: no folder of the system besides. */
    if (ok && fetch->ca_path != NULL)
        ok = curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->ca_path) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return ok;
}

static bool set_limits(CURL *curl, struct gateway_mta_sts_fetch *fetch, char *error)
{
    return curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)fetch->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)POLICY_MTA_STS_TEXT_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "Postern/" POSTERN_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error) == CURLE_OK;
}

/* 3.3: text/plain, with any parameters. */
static bool is_plain_text(const char *type)
{
    struct slice rest = type != NULL ? slice_from(type) : (struct slice){ 0 };

    return slice_equal_nocase(slice_trim(slice_cut(&rest, ';')), SLICE("text/plain"));
}

static void judge(CURL *curl, struct gateway_mta_sts_fetch *fetch)
{
    const char *type = NULL;
    long code = 0;

    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code) != CURLE_OK || code != 200)
        fail(fetch, OBSERVE_TLS_STS_POLICY_FETCH_ERROR, "https: the answer is %ld, not 200", code);
    else if (curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK ||
             !is_plain_text(type))
        fail(fetch, OBSERVE_TLS_STS_POLICY_INVALID, "https: the content is %.64s, not text/plain",
             type != NULL ? type : "nothing");
    else
        fetch->is_ok = true;
}

/* A certificate that is not to be trusted, or of another name, is one thing; all the other ways to
 * get no answer are another. */
static enum observe_tls_result_type trouble_of(CURLcode result)
{
    return result == CURLE_PEER_FAILED_VERIFICATION ? OBSERVE_TLS_STS_WEBPKI_INVALID
                                                    : OBSERVE_TLS_STS_POLICY_FETCH_ERROR;
}

void gateway_mta_sts_fetch_run(struct gateway_mta_sts_fetch *fetch)
{
    struct curl_slist *addresses = make_addresses(fetch);
    char error[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode result;

    ASSERT(fetch->addresses_count > 0 && fetch->addresses_count <= GATEWAY_MTA_STS_ADDRESSES_MAX);
    fetch->is_ok = false;
    if (curl == NULL || addresses == NULL || !set_peer(curl, fetch, addresses) ||
        !set_limits(curl, fetch, error)) {
        fail(fetch, OBSERVE_TLS_SUCCESS, "https: libcurl cannot be used");
    } else {
        result = curl_easy_perform(curl);
        if (result == CURLE_OK)
            judge(curl, fetch);
        else if (result == CURLE_WRITE_ERROR || result == CURLE_FILESIZE_EXCEEDED)
            fail(fetch, OBSERVE_TLS_STS_POLICY_INVALID, "https: the policy is longer than %d bytes",
                 POLICY_MTA_STS_TEXT_MAX);
        else
            fail(fetch, trouble_of(result), "https: %s",
                 error[0] != '\0' ? error : curl_easy_strerror(result));
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(addresses);
}
