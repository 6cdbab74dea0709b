/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fingerprint.c -- see fingerprint.h.
 */
#include "reporter/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reporter/analyse.h"
#include "reporter/frames.h"
#include "reporter/mistakes.h"

/* What compilers append to the name of a function that they changed. */
static const char *const clone_marks[] = {
    ".constprop", ".isra", ".part", ".cold", ".lto_priv", " [clone", NULL};

static size_t
name_length(const char *function)
{
    size_t n = strlen(function);

    for (size_t i = 0; clone_marks[i]; i++) {
        const char *at = strstr(function, clone_marks[i]);

        if (at && at > function && (size_t)(at - function) < n)
            n = (size_t)(at - function);
    }
    return n;
}

/* "libx" of ".../libx.so.1.2". */
static size_t
stem_length(const char *module)
{
    const char *so = strstr(module, ".so");

    while (so && so[3] && so[3] != '.')
        so = strstr(so + 3, ".so");
    return so && so > module ? (size_t)(so - module) : strlen(module);
}

static int
is_same_function(const struct sym_frame *a, const struct sym_frame *b)
{
    size_t n = name_length(a->function);

    return n == name_length(b->function)
        && strncmp(a->function, b->function, n) == 0;
}

uint64_t
fingerprint_path(const struct names *names, uint32_t node)
{
    struct frames frames = {0};
    uint64_t key = fingerprint_words("path", "");
    size_t count;

    frames_of(names, node, &frames);
    count = frames_without_start(&frames);
    for (size_t i = 0; i < count; i++) {
        const struct sym_frame *f = &frames.items[i].at;
        const char *module = frames_basename(f->module);

        if (i && is_same_function(f, &frames.items[i - 1].at))
            continue;
        key = analyse_hash(key, f->function, name_length(f->function));
        key = analyse_hash(key, module, stem_length(module));
    }
    frames_free(&frames);
    return key;
}

uint64_t
fingerprint_words(const char *kind, const char *name)
{
    return analyse_hash(analyse_hash(3, kind, strlen(kind)), name,
                        strlen(name));
}

/* The key, of objects of a type, at a place. */
static uint64_t
add_place(const struct names *names, uint64_t key, uint32_t type,
          uint32_t stack)
{
    const struct recording *rec = names->rec;
    const char *name = recording_string(rec, rec->types[type].name);
    uint64_t words[2] = {
        fingerprint_words("type", name),
        fingerprint_path(names, rec->stacks[stack].node)};

    return analyse_hash(key, words, sizeof words);
}

uint64_t
fingerprint_mistake(const struct names *names, const struct hkr_mistake *m)
{
    const char *what = recording_string(names->rec, m->what);

    return add_place(names, fingerprint_words(mistake_kind(m->kind), what),
                     m->type, m->here);
}

uint64_t
fingerprint_hold(const struct names *names, const struct hkr_hold *h)
{
    const char *name = recording_string(names->rec, h->name);

    return add_place(names, fingerprint_words("hold", name), h->type,
                     h->stack);
}

void
fingerprint_text(uint64_t fingerprint, char *text)
{
    snprintf(text, FINGERPRINT_BYTES, "%016" PRIx64, fingerprint);
}

int
fingerprint_parse(const char *text, uint64_t *fingerprint)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF");

    if (n != FINGERPRINT_BYTES - 1 || text[n])
        return -1;
    return sscanf(text, "%16" SCNx64, fingerprint) == 1 ? 0 : -1;
}
