/* config/suggest.h - the name that was probably meant. */
#pragma once
#include <stddef.h>

struct config_suggestion { /* Fields are private. */
    const char *wrong;
    const char *best; /* NULL: none is near enough */
    size_t distance;
};

struct config_suggestion config_suggestion_begin(const char *wrong);
void config_suggestion_offer(struct config_suggestion *s, const char *name);

#define CONFIG_SUGGESTION_TEXT_MAX 128

/* "; did you mean "NAME"?", or "" when nothing offered was near. Returns text. */
const char *config_suggestion_text(const struct config_suggestion *s,
                                   char text[static CONFIG_SUGGESTION_TEXT_MAX]);
