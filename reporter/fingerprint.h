/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fingerprint.h -- short names of findings that stay the same.
 *
 * The same in every run, and in every build as long as the names stay: a path
 * is its functions and the names of their objects, innermost first, up to main
 * or the first function of a thread.  Addresses, lines, versions of libraries
 * (libx.so.1.2 is libx) and what compilers append to names (.constprop.0) do
 * not count, and a function that calls itself is there once.  With debug
 * information inlined functions are frames like others, so that inlining does
 * not count either.  A frame without a name is its address in its object, and
 * so belongs to one build.
 *
 * The fingerprint of a cycle is in the recording: types and labels.
 */
#ifndef HK_REPORTER_FINGERPRINT_H
#define HK_REPORTER_FINGERPRINT_H

#include <stdint.h>

struct hkr_hold;
struct hkr_mistake;
struct names;

/* node 0: a stack that is not known. */
uint64_t fingerprint_path(const struct names *names, uint32_t node);
/* Of a kind of finding and what it is about. */
uint64_t fingerprint_words(const char *kind, const char *name);
/* Of a kind, a sentence, a type and the path of the mistake. */
uint64_t fingerprint_mistake(const struct names *names,
                             const struct hkr_mistake *m);
/* Of a name, a type and the path of the hold. */
uint64_t fingerprint_hold(const struct names *names,
                          const struct hkr_hold *h);

#define FINGERPRINT_BYTES 17 /* 16 digits and a NUL */
void fingerprint_text(uint64_t fingerprint, char *text);
/* 0, or -1: these are not 16 hexadecimal digits. */
int fingerprint_parse(const char *text, uint64_t *fingerprint);

#endif
