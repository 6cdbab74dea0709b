/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_parts.c -- see json_parts.h.
 */
#include "reporter/json_parts.h"

#include <math.h>

#include "reporter/fingerprint.h"

json_t *
json_frame(const struct frame *frame)
{
    const struct sym_frame *f = &frame->at;
    json_t *o = json_object();

    json_put(o, "function", json_text(f->function));
    json_put(o, "file", json_text(f->file));
    json_put(o, "line", f->line > 0 ? json_integer(f->line) : json_null());
    json_put(o, "module", json_text(f->module));
    json_put(o, "inlined", json_boolean(f->inlined));
    return o;
}

json_t *
json_frames(const struct names *names, uint32_t node)
{
    struct frames frames = {0};
    json_t *list = json_array();

    frames_of(names, node, &frames);
    for (size_t i = 0; i < frames.count; i++)
        json_array_append_new(list, json_frame(&frames.items[i]));
    frames_free(&frames);
    return list;
}

json_t *
json_bytes(double bytes)
{
    if (!(bytes > -9.2e18))
        return json_integer(INT64_MIN);
    if (bytes >= 9.2e18)
        return json_integer(INT64_MAX);
    return json_integer((json_int_t)llround(bytes));
}

void
json_put_interval(json_t *o, const struct estimate *e,
                  const struct interval *i)
{
    json_put(o, "live_bytes_low",
             e->sampled ? json_bytes(i->low) : json_null());
    json_put(o, "live_bytes_high",
             e->sampled ? json_bytes(i->high) : json_null());
}

void
json_put_fingerprint(json_t *o, uint64_t fingerprint)
{
    char text[FINGERPRINT_BYTES];

    fingerprint_text(fingerprint, text);
    json_put(o, "fingerprint", json_text(text));
}
