#include "config/asyncos_write.h"

#define COLUMNS_MAX 100

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static enum status write_indent(struct buffer *out, unsigned indent)
{
    return buffer_printf(out, "%*s", (int)indent, "");
}

/* The runs of plain bytes are appended as a whole: tables may have a million entries. */
enum status config_asyncos_write_string(struct buffer *out, struct slice text)
{
    TRY(buffer_append(out, SLICE("\"")));
    while (text.len > 0) {
        size_t plain = 0;

        while (plain < text.len && text.data[plain] != '"' && text.data[plain] != '\\' &&
               !is_control(text.data[plain]))
            plain++;
        TRY(buffer_append(out, slice_first(text, plain)));
        text = slice_after(text, plain);
        if (text.len == 0)
            break;
        TRY(buffer_append(out, is_control(text.data[0]) ? SLICE(" ")
                               : text.data[0] == '"'    ? SLICE("\\\"")
                                                        : SLICE("\\\\")));
        text = slice_after(text, 1);
    }
    return buffer_append(out, SLICE("\""));
}

enum status config_asyncos_write_text(struct buffer *out, unsigned indent, const char *key,
                                      struct slice text)
{
    TRY(write_indent(out, indent));
    TRY(buffer_printf(out, "%s = ", key));
    TRY(config_asyncos_write_string(out, text));
    return buffer_append(out, SLICE(";\n"));
}

static enum status write_hash(struct buffer *out, struct slice text)
{
    TRY(buffer_append(out, text.len > 0 ? SLICE("# ") : SLICE("#")));
    for (size_t i = 0; i < text.len; i++)
        TRY(buffer_append(out, is_control(text.data[i]) ? SLICE(" ")
                                                        : (struct slice){ text.data + i, 1 }));
    return buffer_append(out, SLICE("\n"));
}

enum status config_asyncos_write_comment(struct buffer *out, unsigned indent, struct slice text)
{
    TRY(write_indent(out, indent));
    return write_hash(out, text);
}

enum status config_asyncos_write_rest(struct buffer *out, struct slice text)
{
    if (text.len == 0)
        return buffer_append(out, SLICE("\n"));
    TRY(buffer_append(out, SLICE("  ")));
    return write_hash(out, text);
}

enum status config_asyncos_write_marks(const struct config_asyncos *a, struct buffer *out,
                                       unsigned indent, uint32_t first, uint32_t end)
{
    for (uint32_t mark = first; mark != CONFIG_ASYNCOS_NO_MARK && mark < end; mark++) {
        size_t at, count = config_asyncos_marked(a, mark, &at);

        for (size_t i = 0; i < count; i++)
            TRY(config_asyncos_write_comment(out, indent,
                                             config_asyncos_comment_at(a, at + i)->text));
    }
    return STATUS_OK;
}

enum status config_asyncos_write_element(struct config_asyncos_elements *e, struct slice text,
                                         struct slice comment, bool is_last)
{
    size_t width = text.len + 4; /* with quotes, comma and the blank in front */

    if (comment.len > 0 || (e->column > 0 && e->column + width > COLUMNS_MAX))
        TRY(config_asyncos_write_elements_end(e));
    if (e->column == 0)
        TRY(write_indent(e->out, e->indent));
    else
        TRY(buffer_append(e->out, SLICE(" ")));
    e->column = (e->column == 0 ? e->indent : e->column) + width;
    TRY(config_asyncos_write_string(e->out, text));
    if (!is_last)
        TRY(buffer_append(e->out, SLICE(",")));
    if (comment.len == 0)
        return STATUS_OK;
    e->column = 0;
    return config_asyncos_write_rest(e->out, comment);
}

enum status config_asyncos_write_elements_end(struct config_asyncos_elements *e)
{
    if (e->column == 0)
        return STATUS_OK;
    e->column = 0;
    return buffer_append(e->out, SLICE("\n"));
}
