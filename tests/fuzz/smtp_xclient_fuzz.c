/* What XCLIENT is understood to say keeps the promises of its header and lies in the memory given.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "smtp/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct slice text, uint8_t state, const char *memory, size_t size)
{
    ASSERT((text.len > 0) == (state == SMTP_XCLIENT_GIVEN));
    ASSERT(text.len <= SMTP_XCLIENT_TEXT_BYTES_MAX);
    ASSERT(text.len == 0 || (text.data >= memory && text.data + text.len <= memory + size));
    for (size_t i = 0; i < text.len; i++)
        ASSERT((unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *memory = malloc(size > 0 ? size : 1);
    struct smtp_xclient x;
    bool has_any = false;

    ASSERT(memory != NULL);
    if (smtp_xclient_parse((struct slice){ (const char *)data, size }, memory, &x)) {
        for (size_t i = 0; i < SMTP_XCLIENT_ATTRIBUTES_COUNT; i++)
            has_any = has_any || x.states[i] != SMTP_XCLIENT_ABSENT;
        ASSERT(has_any);
        check_text(x.name, x.states[SMTP_XCLIENT_NAME], memory, size);
        check_text(x.helo, x.states[SMTP_XCLIENT_HELO], memory, size);
        check_text(x.login, x.states[SMTP_XCLIENT_LOGIN], memory, size);
        ASSERT((x.port > 0) == (x.states[SMTP_XCLIENT_PORT] == SMTP_XCLIENT_GIVEN));
        ASSERT((x.destination_port > 0) == (x.states[SMTP_XCLIENT_DESTPORT] == SMTP_XCLIENT_GIVEN));
    }
    free(memory);
    return 0;
}
