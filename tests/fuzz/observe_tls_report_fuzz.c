/* What a zone says about where it wants reports keeps the promises of observe/tls_report_record.h,
 * and what was read from a damaged file is written and read again as it was. */
#include "observe/tls_report_record.h"
#include "observe/tls_results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(struct slice text)
{
    struct observe_tls_record record;

    if (!observe_tls_record_parse(text, &record))
        return;
    ASSERT(observe_tls_record_is_one(text) && record.uris_count <= OBSERVE_TLS_URIS_MAX);
    for (size_t i = 0; i < record.uris_count; i++) {
        struct slice uri = slice_from(record.uris[i].text);

        ASSERT(uri.len > 2 && uri.len < OBSERVE_TLS_URI_MAX);
        for (size_t k = 0; k < uri.len; k++)
            ASSERT(uri.data[k] > 0x20 && uri.data[k] < 0x7f && uri.data[k] != '<' &&
                   uri.data[k] != '>' && uri.data[k] != '"');
        if (record.uris[i].kind == OBSERVE_TLS_MAILTO)
            ASSERT(memchr(uri.data, '@', uri.len) == memrchr(uri.data, '@', uri.len) &&
                   memchr(uri.data, '@', uri.len) != NULL);
    }
}

static void check_results(struct slice text)
{
    static const struct hash_seed seed = { 1, 2 };
    struct observe_tls_results r, again;
    struct buffer first, second;

    buffer_init(&first, OBSERVE_TLS_BYTES_MAX);
    buffer_init(&second, OBSERVE_TLS_BYTES_MAX);
    ASSERT(observe_tls_results_init(&r, &seed) == STATUS_OK);
    ASSERT(observe_tls_results_init(&again, &seed) == STATUS_OK);
    (void)!observe_tls_results_read(&r, text);
    ASSERT(observe_tls_results_write(&r, &first) == STATUS_OK);
    ASSERT(observe_tls_results_read(&again, buffer_contents(&first)) == STATUS_OK);
    ASSERT(observe_tls_results_write(&again, &second) == STATUS_OK);
    ASSERT(slice_equal(buffer_contents(&first), buffer_contents(&second)));
    observe_tls_results_finish(&r);
    observe_tls_results_finish(&again);
    buffer_finish(&first);
    buffer_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_record((struct slice){ (const char *)data, size });
    check_results((struct slice){ (const char *)data, size });
    return 0;
}
