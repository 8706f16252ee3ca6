#include "smtp/tls_required.h"

static const struct slice name = { "tls-required:", 13 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void look_at_name(struct smtp_tls_required *t, char c)
{
    if (ascii_lower(c) != name.data[t->matched]) {
        t->state = SMTP_TLS_REQUIRED_OTHER;
        return;
    }
    if (++t->matched < name.len)
        return;
    t->state = SMTP_TLS_REQUIRED_BLANK;
    t->is_no = false;
    if (t->fields_count < 2)
        t->fields_count++;
}

/* Blanks, and line ends in between, which whoever feeds us looks after, may stand around the value.
 */
static void look_at_value(struct smtp_tls_required *t, char c)
{
    bool is_space = is_blank(c) || c == '\r' || c == '\n';

    if (t->state == SMTP_TLS_REQUIRED_N) {
        t->is_no = ascii_lower(c) == 'o';
        t->state = t->is_no ? SMTP_TLS_REQUIRED_NO : SMTP_TLS_REQUIRED_OTHER;
    } else if (!is_space && t->state == SMTP_TLS_REQUIRED_BLANK && ascii_lower(c) == 'n') {
        t->state = SMTP_TLS_REQUIRED_N;
    } else if (!is_space) {
        t->is_no = false;
        t->state = SMTP_TLS_REQUIRED_OTHER;
    }
}

void smtp_tls_required_look(struct smtp_tls_required *t, struct slice piece, bool begins_line)
{
    if (begins_line && piece.len > 0 && !is_blank(piece.data[0])) {
        t->state = SMTP_TLS_REQUIRED_NAME;
        t->matched = 0;
    }
    for (size_t i = 0; i < piece.len && t->state != SMTP_TLS_REQUIRED_OTHER; i++) {
        if (t->state == SMTP_TLS_REQUIRED_NAME)
            look_at_name(t, piece.data[i]);
        else
            look_at_value(t, piece.data[i]);
    }
}
