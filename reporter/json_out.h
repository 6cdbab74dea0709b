/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_out.h -- one JSON object, written member by member and element by
 * element, so that a large list never is in memory as a whole.
 */
#ifndef HK_REPORTER_JSON_OUT_H
#define HK_REPORTER_JSON_OUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct json_out {
    FILE *file;
    int members, elements; /* written so far, of the object and of its list */
    int failed;
};

void json_begin(struct json_out *out, FILE *file);
/* All take over value; NULL (no memory) is a failure. */
void json_member(struct json_out *out, const char *key, json_t *value);
void json_list_begin(struct json_out *out, const char *key);
void json_list_add(struct json_out *out, json_t *value);
void json_list_end(struct json_out *out);
/* 0, or -1 if anything failed. */
int json_end(struct json_out *out);

/* A string, with what is not UTF-8 replaced by U+FFFD; null for NULL. */
json_t *json_text(const char *bytes);
/* A number; JSON here ends at INT64_MAX. */
json_t *json_number(uint64_t n);
void json_put(json_t *object, const char *key, json_t *value);
void json_put_number(json_t *object, const char *key, uint64_t n);

#endif
