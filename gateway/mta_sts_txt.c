#include "gateway/mta_sts_txt.h"

#include <string.h>

size_t gateway_mta_sts_txt_find(const struct dns_answer *a,
                                char room[static GATEWAY_MTA_STS_TXT_BYTES], struct slice *text_out)
{
    char text[GATEWAY_MTA_STS_TXT_BYTES];
    size_t len, count = 0;

    for (size_t i = 0; i < a->records; i++) {
        if (!dns_answer_text(a, i, text, sizeof(text), &len) ||
            !policy_mta_sts_is_record((struct slice){ text, len }))
            continue;
        count++;
        memcpy(room, text, len);
        *text_out = (struct slice){ room, len };
    }
    return count;
}
