/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 01-counts.c -- reference counts, watched.
 *
 * An object carries the number of references to it.  Each new owner adds one,
 * each owner that lets go takes one off.  When none is left the object ends: at
 * once, inside the call that dropped the last reference, and with it what only
 * it referred to.  Most memory of a CPython program comes back in this way,
 * without any collector.
 *
 * What to see: the count after each step; that storing a reference in a field
 * counts like any other; that the envelope takes its letter along.
 *
 * In Python:
 *
 *      letter = Letter()
 *      sys.getrefcount(letter)         # one too many: its own argument
 *      copy = letter                   # hk_newref
 *      envelope.letter = letter        # hk_setref
 *      del copy                        # hk_decref
 */
#include "tour.h"

struct letter {
    hk_object head; /* the count is in here */
    int pages;
};

struct envelope {
    hk_object head;
    struct letter *letter;
};

static void
letter_ends(void *self)
{
    const struct letter *letter = self;

    printf("    (the letter of %d pages ends)\n", letter->pages);
}

static void
envelope_ends(void *self)
{
    (void)self;
    printf("    (the envelope ends)\n");
}

/* A leaf holds no references to other objects. */
static const hk_type_spec letter_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "letter",
    .size = sizeof(struct letter),
    .flags = HK_TYPE_LEAF,
    .finalize = letter_ends,
};

/* The table says which fields own a reference.  From it the library knows what
   to drop when an envelope ends. */
static const hk_field envelope_fields[] = {
    {"letter", HK_REF, offsetof(struct envelope, letter), 0}, {0}};

static const hk_type_spec envelope_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "envelope",
    .size = sizeof(struct envelope),
    .fields = envelope_fields,
    .finalize = envelope_ends,
};

static void
show(const char *when, const struct letter *letter)
{
    printf("%-36s %d\n", when, (int)hk_refcount(letter));
}

int
main(void)
{
    hk_type *letter_type = must(hk_type_register(&letter_spec));
    hk_type *envelope_type = must(hk_type_register(&envelope_spec));
    struct letter *letter = must(hk_new(letter_type));
    struct envelope *envelope = must(hk_new(envelope_type));
    struct letter *copy;

    letter->pages = 2;
    printf("references to the letter\n");
    show("new: its maker has one", letter);
    copy = hk_newref(letter);
    show("a second owner", letter);
    hk_setref(&envelope->letter, letter);
    show("a field of the envelope", letter);
    hk_decref(copy);
    show("the second owner let go", letter);
    hk_decref(letter);
    show("its maker, too", envelope->letter);

    printf("the last reference to the envelope goes\n");
    hk_decref(envelope);
    printf("alive: %d envelopes, %d letters\n", alive(envelope_type),
           alive(letter_type));
    return 0;
}
