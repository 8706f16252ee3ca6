/* config/asyncos_look.h - which of the tables of AsyncOS a text looks like.
 *
 * The exports have no header that says what they are, and some files are grammar of another table
 * as well: a RAT is a HAT whose senders are the domains of the recipients, and a list of routes to
 * hosts named ACCEPT. What a file looks like is told before it is read, in one line instead of one
 * for each of its own.
 *
 * A text that could be meant for several tables looks like none of them.
 */
#pragma once
#include "config/asyncos.h"

enum config_asyncos_table {
    CONFIG_ASYNCOS_NONE,
    CONFIG_ASYNCOS_HAT,
    CONFIG_ASYNCOS_RAT,
    CONFIG_ASYNCOS_DESTINATIONS,
    CONFIG_ASYNCOS_ROUTES
};

enum config_asyncos_table config_asyncos_look(const struct config_asyncos_import *import);

/* Whether the text is to be read as this table: it can be read, and does not look like another one,
 * which is an error. Behind config_asyncos_begin(). */
MUST_USE bool config_asyncos_expect(struct config_asyncos *a,
                                    const struct config_asyncos_import *import,
                                    enum config_asyncos_table table);

/* Whether a word is an access rule, which no host is named like: ACCEPT, REJECT, TCPREFUSE and
 * CONTINUE in any case, and RELAY in capitals, since a host may well be called "relay". */
bool config_asyncos_is_rule(struct slice word);
