/* config/asyncos_rat.h - a Recipient Access Table of AsyncOS as one of ours.
 *
 * The grammar, a superset of what the versions of AsyncOS export:
 *
 *     file  := { entry }
 *     entry := { recipient [","] } ( "ACCEPT" | "REJECT" ) { text | "{" { setting } "}" }
 *
 * with "# ..." between any of them; text and setting are those of asyncos_hat.h. A setting, or a
 * text of the same words, may be smtp_response_code, smtp_response_text, bypass_receiving_control
 * or bypass_ldap_accept.
 *
 * ALL is the last entry of every RAT of AsyncOS, wherever the file has it.
 */
#pragma once
#include "config/asyncos.h"

#define CONFIG_ASYNCOS_RECIPIENTS_MAX 1000000

/* Appends to out a text with rat, which has one table of import's name; otherwise as
 * config_import_hat(). */
MUST_USE enum status config_import_rat(const struct config_asyncos_import *import,
                                       struct buffer *out, struct config_problems *problems);
