/* observe/status_words.h - what AsyncOS calls an enhanced status code (RFC 3463) in its log. */
#pragma once
#include "base/slice.h"

/* "5.1.0" is "Unknown address error". Never NULL. */
const char *observe_status_words(struct slice enhanced);
