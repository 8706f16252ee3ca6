/* config/asyncos_keys.h - what each setting of an AsyncOS policy is to us. */
#pragma once
#include "base/slice.h"
#include "config/asyncos_flow.h"

enum config_asyncos_meaning {
    CONFIG_ASYNCOS_IS_COUNT,       /* from min to max */
    CONFIG_ASYNCOS_IS_RATE,        /* the same, and -1 or 0 for no limit, which is our 0 */
    CONFIG_ASYNCOS_IS_SIZE,        /* bytes from min to max, or 20M */
    CONFIG_ASYNCOS_IS_CODE,        /* of a reply, from min to max */
    CONFIG_ASYNCOS_IS_TEXT,        /* of a reply */
    CONFIG_ASYNCOS_IS_BANNER_CODE, /* of the greeting, or of the rejection in its place */
    CONFIG_ASYNCOS_IS_BANNER_TEXT,
    CONFIG_ASYNCOS_IS_NAME, /* of an address list */
    CONFIG_ASYNCOS_IS_MINUTES,
    CONFIG_ASYNCOS_IS_SWITCH,        /* on | off, or drop | code */
    CONFIG_ASYNCOS_IS_BITS,          /* of addresses that count together; 0 is not possible here */
    CONFIG_ASYNCOS_IS_TLS,           /* also whether the client's certificate is verified */
    CONFIG_ASYNCOS_IS_VERIFY,        /* on | off: the client's certificate, by its own */
    CONFIG_ASYNCOS_IS_HOSTNAME,      /* of the greeting */
    CONFIG_ASYNCOS_IS_HOSTNAME_USED, /* on | off: whether the one above counts */
    CONFIG_ASYNCOS_IS_IGNORED        /* reason says why */
};

struct config_asyncos_key {
    const char *name; /* theirs, in any case */
    enum config_asyncos_meaning meaning;
    const char *key; /* ours; NULL: ignored, or more than one */
    uint64_t min, max;
    const char *reason;
};

/* NULL: nobody knows it. */
const struct config_asyncos_key *config_asyncos_key_find(struct slice name);
