#include "gateway/failure.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CODE_BYTES 4 /* "550 " */

/* Stands for one that could not be kept; never freed. */
static struct gateway_failure forgotten;

static_assert(GATEWAY_FAILURE_NAME_MAX <= UINT16_MAX && GATEWAY_FAILURE_REPLY_MAX <= UINT16_MAX,
              "lengths fit their fields");

static bool has_reply(const struct gateway_failure_facts *facts)
{
    return facts->reply != NULL && facts->reply->code != 0;
}

/* "550 5.1.1 No such user", or words of ours, with a NUL; returns its length. */
static size_t compose_reply(const struct gateway_failure_facts *facts,
                            char text[static GATEWAY_FAILURE_REPLY_MAX + 1])
{
    const struct smtp_reply *reply = facts->reply;
    const struct smtp_enhanced *e = has_reply(facts) ? &reply->enhanced : NULL;
    char enhanced[32] = "";
    int len;

    if (e == NULL) {
        len = snprintf(text, GATEWAY_FAILURE_REPLY_MAX + 1, "%.*s", SLICE_ARGS(facts->words));
        return len > GATEWAY_FAILURE_REPLY_MAX ? GATEWAY_FAILURE_REPLY_MAX : (size_t)len;
    }
    if (e->class != 0)
        (void)snprintf(enhanced, sizeof(enhanced), "%u.%u.%u ", e->class, e->subject, e->detail);
    len = snprintf(text, GATEWAY_FAILURE_REPLY_MAX + 1, "%03u %s%.*s", reply->code % 1000u,
                   enhanced, SLICE_ARGS(reply->text));
    return len > GATEWAY_FAILURE_REPLY_MAX ? GATEWAY_FAILURE_REPLY_MAX : (size_t)len;
}

const struct gateway_failure *gateway_failure_write(const struct gateway_failure_facts *facts,
                                                    struct gateway_failure_room *room)
{
    struct slice name = facts->name;
    struct gateway_failure *f = &room->failure;

    if (name.len > GATEWAY_FAILURE_NAME_MAX)
        name.len = GATEWAY_FAILURE_NAME_MAX;
    *f = (struct gateway_failure){
        .outcome = facts->outcome,
        .at_s = facts->at_s,
        .code = has_reply(facts) ? facts->reply->code : 0,
        .name_bytes = (uint16_t)name.len,
        .has_host = facts->endpoint != NULL,
        .is_ours = facts->is_ours || !has_reply(facts),
    };
    if (facts->endpoint != NULL)
        f->endpoint = *facts->endpoint;
    if (name.len > 0)
        memcpy(f->text, name.data, name.len);
    f->reply_bytes = (uint16_t)compose_reply(facts, f->text + name.len);
    return f;
}

struct gateway_failure *gateway_failure_create(const struct gateway_failure_facts *facts)
{
    struct gateway_failure_room room;

    return gateway_failure_copy(gateway_failure_write(facts, &room));
}

struct gateway_failure *gateway_failure_copy(const struct gateway_failure *f)
{
    size_t bytes = f != NULL ? sizeof(*f) + f->name_bytes + f->reply_bytes : 0;
    struct gateway_failure *copy = bytes > 0 ? malloc(bytes) : NULL;

    if (copy != NULL)
        memcpy(copy, f, bytes);
    return copy;
}

struct slice gateway_failure_name(const struct gateway_failure *f)
{
    return (struct slice){ f->text, f->name_bytes };
}

struct slice gateway_failure_reply(const struct gateway_failure *f)
{
    return (struct slice){ f->text + f->name_bytes, f->reply_bytes };
}

struct slice gateway_failure_said(const struct gateway_failure *f)
{
    return slice_after(gateway_failure_reply(f), f->code != 0 ? CODE_BYTES : 0);
}

/* --- of recipients that wait ----------------------------------------------------------------- */

void gateway_failures_finish(struct gateway_failures *fs, unsigned places)
{
    for (unsigned i = 0; fs->own != NULL && i < places; i++)
        if (fs->own[i] != &forgotten)
            free(fs->own[i]);
    free(fs->own);
    free(fs->common);
    *fs = (struct gateway_failures){ 0 };
}

void gateway_failures_note_common(struct gateway_failures *fs, struct gateway_failure *f)
{
    free(fs->common);
    fs->common = f;
}

static void drop(struct gateway_failures *fs, unsigned place)
{
    if (fs->own[place] == NULL || fs->own[place] == &forgotten)
        return;
    free(fs->own[place]);
    fs->own_count--;
}

void gateway_failures_note(struct gateway_failures *fs, unsigned places, unsigned place,
                           struct gateway_failure *f)
{
    ASSERT(place < places);
    if (fs->own == NULL && f == NULL)
        return;
    if (fs->own == NULL)
        fs->own = calloc(places, sizeof(struct gateway_failure *));
    if (fs->own == NULL) {
        /* What is common must not be told of who was told something else. */
        gateway_failures_note_common(fs, NULL);
        free(f);
        return;
    }
    drop(fs, place);
    if (f != NULL && fs->own_count >= GATEWAY_FAILURES_MAX) {
        free(f);
        f = &forgotten;
    } else if (f != NULL) {
        fs->own_count++;
    }
    fs->own[place] = f;
}

const struct gateway_failure *gateway_failures_find(const struct gateway_failures *fs,
                                                    unsigned place)
{
    const struct gateway_failure *own = fs->own != NULL ? fs->own[place] : NULL;

    if (own == &forgotten)
        return NULL;
    return own != NULL ? own : fs->common;
}
