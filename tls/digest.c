#include <openssl/err.h>

#include "tls/internal.h"

void tls_digest_begin(struct tls_digest *d, const char *label)
{
    d->all = EVP_MD_CTX_new();
    d->is_good = d->all != NULL && EVP_DigestInit_ex(d->all, EVP_sha256(), NULL) == 1;
    tls_digest_add(d, label, strlen(label));
}

void tls_digest_add(struct tls_digest *d, const void *bytes, size_t len)
{
    uint64_t len_64 = len;

    d->is_good = d->is_good && EVP_DigestUpdate(d->all, &len_64, sizeof(len_64)) == 1 &&
                 (len == 0 || EVP_DigestUpdate(d->all, bytes, len) == 1);
}

bool tls_digest_end(struct tls_digest *d, unsigned char id_out[static TLS_ID_BYTES])
{
    bool is_good = d->is_good && EVP_DigestFinal_ex(d->all, id_out, NULL) == 1;

    EVP_MD_CTX_free(d->all);
    if (!is_good)
        ERR_clear_error();
    return is_good;
}
