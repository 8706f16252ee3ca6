/* config/asyncos_routes.h - SMTP routes of AsyncOS as ours.
 *
 * The file is what `smtproutes > export` writes, one domain a line, and what administrators keep:
 *
 *     .example.com    mx1.internal:25/pri=10, mx2.internal/pri=20
 *     example.net:    [192.0.2.1]
 *     example.org     USEDNS
 *     ALL             /dev/null
 *
 * with "#" comments. Hosts are parted by commas or blanks; each is of the forms of
 * policy/route.h.
 */
#pragma once
#include "config/asyncos.h"

/* Appends to out a text with routes; import's name is not looked at. As config_import_hat()
 * otherwise. */
MUST_USE enum status config_import_routes(const struct config_asyncos_import *import,
                                          struct buffer *out, struct config_problems *problems);
