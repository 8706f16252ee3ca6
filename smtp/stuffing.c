#include "smtp/stuffing.h"

#include "base/check.h"

void smtp_stuffing_init(struct smtp_stuffing *s)
{
    *s = (struct smtp_stuffing){ .state = SMTP_STUFFING_LINE_START };
}

static enum smtp_stuffing_state state_behind(enum smtp_stuffing_state state, struct slice text)
{
    char last = text.data[text.len - 1];
    bool was_cr = text.len > 1 ? text.data[text.len - 2] == '\r' : state == SMTP_STUFFING_CR;

    if (last == '\r')
        return SMTP_STUFFING_CR;
    return last == '\n' && was_cr ? SMTP_STUFFING_LINE_START : SMTP_STUFFING_WITHIN;
}

/* What input begins with, up to a line that begins with a dot. Input is not empty. */
static struct slice run_look(struct smtp_stuffing *s, struct slice input)
{
    const char *dot = memmem(input.data, input.len, "\r\n.", 3);

    if (s->state == SMTP_STUFFING_CR && input.len > 1 && memcmp(input.data, "\n.", 2) == 0)
        input.len = 1; /* up to the dot, as below */
    else if (dot != NULL)
        input.len = (size_t)(dot - input.data) + 2;
    s->state = (uint8_t)state_behind((enum smtp_stuffing_state)s->state, input);
    return input;
}

static bool begins_with_dot(const struct smtp_stuffing *s, struct slice input)
{
    return s->state == SMTP_STUFFING_LINE_START && input.data[0] == '.';
}

struct slice smtp_stuffing_next(struct smtp_stuffing *s, struct slice input, size_t *used_out)
{
    *used_out = 0;
    if (input.len == 0)
        return input;
    ASSERT(input.data != NULL);
    if (begins_with_dot(s, input)) {
        s->state = SMTP_STUFFING_WITHIN;
        return SLICE(".");
    }
    input = run_look(s, input);
    *used_out = input.len;
    return input;
}

struct slice smtp_stuffing_undo(struct smtp_stuffing *s, struct slice input, size_t *used_out)
{
    size_t dot_bytes = 0;

    *used_out = 0;
    if (input.len == 0)
        return input;
    ASSERT(input.data != NULL);
    if (begins_with_dot(s, input)) {
        s->state = SMTP_STUFFING_WITHIN;
        dot_bytes = 1;
        input = slice_after(input, dot_bytes);
    }
    if (input.len > 0)
        input = run_look(s, input);
    *used_out = dot_bytes + input.len;
    return input;
}

struct slice smtp_stuffing_end(const struct smtp_stuffing *s)
{
    return s->state == SMTP_STUFFING_LINE_START ? SLICE("") : SLICE("\r\n");
}
