/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * why.h -- why is it still there?  Who holds the objects of a type, and what
 * leads to an object.
 */
#ifndef HK_REPORTER_WHY_H
#define HK_REPORTER_WHY_H

#include "reporter/census.h"
#include "reporter/render.h"

#define WHY_HEADLINE_BYTES 512

/* A question that has an answer in the recording. */
struct why {
    const struct view *view;
    uint32_t type;
    uint64_t address; /* 0: asked of the type as a whole */
    const struct census *census;
    const struct census_path *path; /* to the address */
    int asked; /* the agent of the live process answered just now */
};

enum why_result {
    WHY_FOUND,
    WHY_NO_TYPE,   /* no type has this name */
    WHY_NO_CENSUS, /* the type is known, but no scan counted who holds it */
    WHY_NO_PATH    /* no path to an object at this address */
};

/* 1 and the address if that is what the word is: 0x and hex digits. */
int why_is_address(const char *word, uint64_t *address);
/* The type with this name, one with a census if there are several; or 0. */
uint32_t why_type(const struct recording *rec, const char *name);
enum why_result why_find(const struct view *view, const char *word,
                         struct why *out);

/* The answer in a sentence. */
void why_headline(const struct why *why, char *text, size_t size);
void text_why(const struct why *why, const struct text_out *out);
int json_why(const struct why *why, FILE *file);

#endif
