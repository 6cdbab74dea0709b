/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * notes-t.c -- does an object keep the note that it was given, and no other?
 */
#include <errno.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/lock.h"
#include "agent/notes.h"
#include "agent/options.h"
#include "agent/strings.h"
#include "tests/tap/tap.h"

#define WAIT_NS 1000000000u

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

static char objects[5000][16];

static const char *
note(int object)
{
    return strings_get(notes_string(objects[object]));
}

static int
set(int object, const char *text)
{
    return notes_set(objects[object], text, WAIT_NS);
}

static void
some(void)
{
    char text[200], cut[200];

    is_str("", note(0), "no note");
    is_int(0, set(0, "first"), "a note");
    is_str("first", note(0), "is kept");
    is_str("", note(1), "not on another object");
    set(0, "second");
    is_str("second", note(0), "a new one takes its place");
    set(0, NULL);
    is_str("", note(0), "taken away");
    is_int(0, set(0, NULL), "again");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(cut, text, sizeof(cut));
    cut[95] = '\0';
    set(0, text);
    is_str(cut, note(0), "95 bytes of a long one");
    set(0, "short");
    is_str("short", note(0), "and then a short one");
    lock_take(&lock_notes, 0);
    is_int(EAGAIN, notes_set(objects[1], "x", 0), "locked: EAGAIN");
    lock_release(&lock_notes);
    set(0, NULL);
}

static void
many(void)
{
    char text[32];
    int full = 0, right = 0;

    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "note %d", i % 7);
        full += set(i, text) == ENOSPC;
    }
    is_int(5000 - 4096, full, "4,096 objects have a note");
    for (int i = 0; i < 4096; i++) {
        snprintf(text, sizeof(text), "note %d", i % 7);
        right += strcmp(text, note(i)) == 0;
    }
    is_int(4096, right, "each its own");
    for (int i = 0; i < 4096; i += 2)
        set(i, NULL);
    is_int(0, set(4999, "late"), "room again");
    is_str("late", note(4999), "for another");
    is_str("note 1", note(1), "others stay");
}

/* The names of types and files need the same table. */
static void
strings_are_spared(void)
{
    char text[32];
    int known = 0;

    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "unlike any other %d", i);
        set(1, text);
        known += notes_string(objects[1]) != 0;
    }
    ok(known >= 900 && known <= 1024, "%d of 3,000 texts are kept for ever",
       known);
    ok(strings_add("a name"), "there is room for names");
}

int
main(void)
{
    opt.memory = UINT64_C(1) << 30;
    if (!strings_start())
        bail_out("no strings");
    some();
    many();
    strings_are_spared();
    return done_testing();
}
