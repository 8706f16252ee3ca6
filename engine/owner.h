/* engine/owner.h - who gets the completion of a request. For the modules of engine/ only.
 *
 * Whatever has requests in flight embeds an owner and takes a slot of the loop's table. A token
 * carries the slot and the generation the slot has at that time; a slot that is given back gets a
 * new generation, so that a completion which comes after its owner's end finds nobody.
 */
#pragma once
#include "engine/backend.h"

struct engine_loop;

struct engine_owner { /* Fields are private to engine/. */
    void (*complete)(struct engine_owner *owner, const struct engine_completion *c);
};
