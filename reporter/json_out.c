/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_out.c -- see json_out.h.
 */
#include "reporter/json_out.h"

#include <stdlib.h>
#include <string.h>

void
json_begin(struct json_out *out, FILE *file)
{
    *out = (struct json_out){.file = file};
    fputs("{", file);
}

static void
write_value(struct json_out *out, json_t *value)
{
    if (!value
        || json_dumpf(value, out->file,
                      JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)))
        out->failed = 1;
    json_decref(value);
}

void
json_member(struct json_out *out, const char *key, json_t *value)
{
    fprintf(out->file, "%s\n \"%s\": ", out->members++ ? "," : "", key);
    write_value(out, value);
}

void
json_list_begin(struct json_out *out, const char *key)
{
    fprintf(out->file, "%s\n \"%s\": [", out->members++ ? "," : "", key);
    out->elements = 0;
}

void
json_list_add(struct json_out *out, json_t *value)
{
    fputs(out->elements++ ? ",\n  " : "\n  ", out->file);
    write_value(out, value);
}

void
json_list_end(struct json_out *out)
{
    fputs("]", out->file);
}

int
json_end(struct json_out *out)
{
    fputs("\n}\n", out->file);
    return out->failed || ferror(out->file) ? -1 : 0;
}

static int
is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character at p, 0 if it is none (overlong forms,
   surrogates and what is beyond U+10FFFF are none). */
static size_t
utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] < 0xe0)
        return is_continuation(p[1]) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] < 0xf0) {
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0))
            return 0;
        return is_continuation(p[1]) && is_continuation(p[2]) ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] < 0xf5) {
        if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
            return 0;
        return is_continuation(p[1]) && is_continuation(p[2])
                && is_continuation(p[3])
            ? 4
            : 0;
    }
    return 0;
}

json_t *
json_text(const char *bytes)
{
    json_t *value;
    char *clean, *to;

    if (!bytes)
        return json_null();
    value = json_string(bytes);
    if (value)
        return value;
    clean = to = malloc(strlen(bytes) * 3 + 1);
    if (!clean)
        return NULL;
    while (*bytes) {
        size_t n = utf8_length((const unsigned char *)bytes);

        if (n) {
            memcpy(to, bytes, n);
            to += n;
            bytes += n;
        } else {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
            bytes++;
        }
    }
    *to = '\0';
    value = json_string(clean);
    free(clean);
    return value;
}

json_t *
json_number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

void
json_put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new_nocheck(object, key, value);
}

void
json_put_number(json_t *object, const char *key, uint64_t n)
{
    json_put(object, key, json_number(n));
}
