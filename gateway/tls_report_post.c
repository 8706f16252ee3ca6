#include "gateway/tls_report_post.h"

#include <curl/curl.h>
#include <ifaddrs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/tls_report.h"

#define HTTPS_PORT   443
#define RESOLVE_MAX  (DNS_NAME_MAX + 16 + GATEWAY_TLS_POST_ADDRESSES_MAX * (IP_TEXT_MAX + 3))
#define MESSAGES_MAX 1024 /* of libcurl in one turn */

struct gateway_tls_poster {
    CURLM *multi;
};

/* --- addresses and names --------------------------------------------------------------------- */

bool gateway_tls_post_is_public(const struct ip_address *address)
{
    static const struct {
        const char *prefix;
        bool is_public;
    } known[] = {
        /* The first that contains it counts. */
        { "0.0.0.0/8", false },      { "10.0.0.0/8", false },     { "100.64.0.0/10", false },
        { "127.0.0.0/8", false },    { "169.254.0.0/16", false }, { "172.16.0.0/12", false },
        { "192.0.0.0/24", false },   { "192.0.2.0/24", false },   { "192.88.99.0/24", false },
        { "192.168.0.0/16", false }, { "198.18.0.0/15", false },  { "198.51.100.0/24", false },
        { "203.0.113.0/24", false }, { "224.0.0.0/3", false },    { "0.0.0.0/0", true },
        { "2001::/23", false }, /* Teredo and other ways through IPv4 */
        { "2001:db8::/32", false },  { "2002::/16", false }, /* 6to4: an IPv4 address of any kind is
                                                                in it */
        { "2000::/3", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct ip_prefix prefix;

        ASSERT(ip_prefix_parse(slice_from(known[i].prefix), &prefix, NULL));
        if (ip_prefix_contains(&prefix, address))
            return known[i].is_public;
    }
    return false;
}

/* What cannot be told is. */
bool gateway_tls_post_is_ours(const struct ip_address *address)
{
    struct ifaddrs *all = NULL;
    bool is_ours = getifaddrs(&all) != 0;

    for (const struct ifaddrs *one = all; one != NULL && !is_ours; one = one->ifa_next) {
        struct sockaddr_storage storage = { 0 };
        struct ip_endpoint endpoint;

        if (one->ifa_addr == NULL ||
            (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&storage, one->ifa_addr,
               one->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                   : sizeof(struct sockaddr_in6));
        is_ours =
            ip_endpoint_from_socket(&storage, &endpoint) && ip_equal(&endpoint.address, address);
    }
    freeifaddrs(all);
    return is_ours;
}

/* Whether a part of the URI is there; what cannot be told is. */
static bool has_part(CURLU *url, CURLUPart which, CURLUcode absent)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, which, &text, 0);

    curl_free(text);
    return code != absent;
}

static bool take_host(CURLU *url, char host[static DNS_NAME_MAX])
{
    struct ip_address literal;
    struct slice name;
    char *text = NULL;
    bool ok = false;

    if (curl_url_get(url, CURLUPART_HOST, &text, 0) != CURLUE_OK)
        return false;
    name = slice_from(text);
    /* With a final dot it would be the name of another entry among the addresses. */
    ok = name.len < DNS_NAME_MAX && (dns_name_is_valid(name) || text[0] == '[') &&
         text[name.len - 1] != '.';
    if (ok && text[0] == '[') {
        name = slice_first(slice_after(name, 1), name.len >= 2 ? name.len - 2 : 0);
        ok = ip_parse(name, &literal);
    }
    if (ok)
        (void)snprintf(host, DNS_NAME_MAX, "%.*s", SLICE_ARGS(name));
    curl_free(text);
    return ok;
}

static bool take_port(CURLU *url, uint16_t *port_out)
{
    uint64_t port = HTTPS_PORT;
    char *text = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_PORT, &text, 0);
    bool ok = code == CURLUE_NO_PORT ||
              (code == CURLUE_OK && slice_to_number(slice_from(text), UINT16_MAX, &port));

    curl_free(text);
    *port_out = (uint16_t)port;
    return ok && port > 0;
}

bool gateway_tls_post_target(const char *url, char host[static DNS_NAME_MAX], uint16_t *port_out)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool ok;

    ok = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
         curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
         strcmp(scheme, "https") == 0 && !has_part(parts, CURLUPART_USER, CURLUE_NO_USER) &&
         !has_part(parts, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD) &&
         !has_part(parts, CURLUPART_ZONEID, CURLUE_NO_ZONEID) && take_host(parts, host) &&
         take_port(parts, port_out);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return ok;
}

/* --- what libcurl calls ---------------------------------------------------------------------- */

/* Returning less than was given ends the transfer. */
static size_t on_answer(char *data, size_t unit, size_t count, void *user)
{
    struct gateway_tls_post *post = user;

    (void)data;
    post->answer_bytes += unit * count;
    return post->answer_bytes <= GATEWAY_TLS_POST_ANSWER_MAX ? unit * count : 0;
}

/* The last look at an address, whichever way libcurl came to it. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct gateway_tls_post *post = user;
    struct sockaddr_storage storage = { 0 };
    struct ip_endpoint endpoint;

    (void)purpose;
    if (to->addrlen > sizeof(storage))
        return CURL_SOCKET_BAD;
    memcpy(&storage, &to->addr, to->addrlen);
    if (!ip_endpoint_from_socket(&storage, &endpoint) ||
        (!post->to_private && (!gateway_tls_post_is_public(&endpoint.address) ||
                               gateway_tls_post_is_ours(&endpoint.address)))) {
        post->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* --- a transfer ------------------------------------------------------------------------------ */

/* The words may be those of a certificate. */
PRINTF_LIKE(2, 3)
static void fail(struct gateway_tls_post *post, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(post->reason, sizeof(post->reason), format, list);
    va_end(list);
    for (char *c = post->reason; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    post->state = GATEWAY_TLS_POST_FAILED;
}

/* "host:443:192.0.2.1,[2001:db8::1]", CURLOPT_RESOLVE. A host that is an address needs none, and
 * with colons could have none. False: no memory. */
static bool set_addresses(struct gateway_tls_post *post, const char *host, uint16_t port)
{
    char text[RESOLVE_MAX], address[IP_TEXT_MAX];
    int fill = snprintf(text, sizeof(text), "%s:%u:", host, port);
    struct ip_address literal;

    if (ip_parse(slice_from(host), &literal))
        return true;
    for (size_t i = 0; i < post->addresses_count; i++) {
        bool is_v4 = ip_is_v4(&post->addresses[i]);

        fill +=
            snprintf(text + fill, sizeof(text) - (size_t)fill, "%s%s%s%s", i > 0 ? "," : "",
                     is_v4 ? "" : "[", ip_format(&post->addresses[i], address), is_v4 ? "" : "]");
    }
    ASSERT((size_t)fill < sizeof(text));
    post->resolve = curl_slist_append(NULL, text);
    return post->resolve != NULL &&
           curl_easy_setopt(post->curl, CURLOPT_RESOLVE, post->resolve) == CURLE_OK;
}

/* Whom to ask and whom to believe. */
static bool set_peer(struct gateway_tls_post *post)
{
    CURL *curl = post->curl;
    bool ok;

    ok = curl_easy_setopt(curl, CURLOPT_URL, post->url) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK &&
         curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, post) == CURLE_OK;
    /* A list that was named is the whole list: no folder of the system besides. */
    if (ok && post->ca_path[0] != '\0')
        ok = curl_easy_setopt(curl, CURLOPT_CAINFO, post->ca_path) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return ok;
}

/* What is sent, and how much of what comes back is endured. */
static bool set_request(struct gateway_tls_post *post)
{
    static const char *const lines[] = { "Content-Type: " OBSERVE_TLS_REPORT_TYPE,
                                         "Expect:" /* no 100-continue */ };
    CURL *curl = post->curl;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct curl_slist *longer = curl_slist_append(post->headers, lines[i]);

        if (longer == NULL)
            return false;
        post->headers = longer;
    }
    return curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, post->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post->body.data) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, post) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PRIVATE, post) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)GATEWAY_TLS_POST_TIME_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "Postern/" POSTERN_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, post->error) == CURLE_OK;
}

void gateway_tls_post_start(struct gateway_tls_poster *poster, struct gateway_tls_post *post)
{
    char host[DNS_NAME_MAX];
    uint16_t port;

    ASSERT(post->state == GATEWAY_TLS_POST_IDLE && post->curl == NULL);
    ASSERT(post->addresses_count > 0 && post->addresses_count <= GATEWAY_TLS_POST_ADDRESSES_MAX);
    if (!gateway_tls_post_target(post->url, host, &port)) {
        fail(post, "https: this address cannot be used");
        return;
    }
    post->curl = curl_easy_init();
    post->error = calloc(1, CURL_ERROR_SIZE);
    if (post->curl == NULL || post->error == NULL || !set_addresses(post, host, port) ||
        !set_peer(post) || !set_request(post) ||
        curl_multi_add_handle(poster->multi, post->curl) != CURLM_OK) {
        fail(post, "https: libcurl cannot be used");
        return;
    }
    post->poster = poster;
    post->state = GATEWAY_TLS_POST_RUNNING;
}

void gateway_tls_post_finish(struct gateway_tls_post *post)
{
    if (post->poster != NULL)
        (void)curl_multi_remove_handle(post->poster->multi, post->curl);
    curl_easy_cleanup(post->curl);
    curl_slist_free_all(post->headers);
    curl_slist_free_all(post->resolve);
    free(post->error);
    post->poster = NULL;
    post->curl = post->headers = post->resolve = NULL;
    post->error = NULL;
}

/* An answer that is too long has still said whether the report was taken. */
static void judge(struct gateway_tls_post *post, CURLcode result)
{
    long code = 0;

    (void)curl_easy_getinfo(post->curl, CURLINFO_RESPONSE_CODE, &code);
    if (result != CURLE_OK && post->is_refused)
        fail(post, "https: its address is one of our own or of a private network");
    else if (result != CURLE_OK &&
             (result != CURLE_WRITE_ERROR || post->answer_bytes <= GATEWAY_TLS_POST_ANSWER_MAX))
        fail(post, "https: %s", post->error[0] != '\0' ? post->error : curl_easy_strerror(result));
    else if (code < 200 || code > 299)
        fail(post, "https: the answer is %ld", code);
    else
        post->state = GATEWAY_TLS_POST_TAKEN;
}

/* Returns whether any has ended. */
static bool take_ended(struct gateway_tls_poster *poster)
{
    bool has_ended = false;
    int more;

    for (int i = 0; i < MESSAGES_MAX; i++) {
        CURLMsg *message = curl_multi_info_read(poster->multi, &more);
        char *user = NULL;

        if (message == NULL)
            break;
        if (message->msg != CURLMSG_DONE)
            continue;
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user) == CURLE_OK)
            judge((struct gateway_tls_post *)(void *)user, message->data.result);
        has_ended = true;
    }
    return has_ended;
}

void gateway_tls_poster_wait(struct gateway_tls_poster *poster, int bell, int wait_ms)
{
    struct curl_waitfd wait = { .fd = bell, .events = CURL_WAIT_POLLIN };
    uint64_t rung;
    int running;

    (void)curl_multi_perform(poster->multi, &running);
    if (take_ended(poster))
        return;
    (void)curl_multi_poll(poster->multi, &wait, 1, wait_ms, NULL);
    if (wait.revents != 0 && read(bell, &rung, sizeof(rung)) < 0)
        return; /* somebody took it back already */
    (void)curl_multi_perform(poster->multi, &running);
    (void)take_ended(poster);
}

enum status gateway_tls_poster_create(struct gateway_tls_poster **poster_out)
{
    struct gateway_tls_poster *poster = calloc(1, sizeof(*poster));

    if (poster == NULL)
        return STATUS_NO_MEMORY;
    poster->multi = curl_multi_init();
    if (poster->multi == NULL) {
        free(poster);
        return STATUS_NO_MEMORY;
    }
    *poster_out = poster;
    return STATUS_OK;
}

void gateway_tls_poster_destroy(struct gateway_tls_poster *poster)
{
    if (poster == NULL)
        return;
    (void)curl_multi_cleanup(poster->multi);
    free(poster);
}
