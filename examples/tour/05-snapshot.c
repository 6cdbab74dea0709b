/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 05-snapshot.c -- counting objects by type, before and after.
 *
 * The oldest way to find a leak: count what there is, do something that should
 * leave nothing behind, count again, and look at the difference.  Do it several
 * times: what a warm-up leaves behind comes once, a leak comes every time.
 *
 * Here a server forgets to drop the session of a customer who leaves without a
 * word.  Nothing is unreachable, so no collector will ever find it: the list of
 * sessions holds them.  The difference shows it.
 *
 * What to see: each round adds sessions and their carts, and no requests.  With
 * the agent, hk_mark() puts the same moments into the recording:
 *
 *      heapknot run -o shop.hk -- ./05-snapshot
 *      heapknot diff shop.hk@round-1 shop.hk@round-3
 *
 * In Python: Counter(type(o).__name__ for o in gc.get_objects()), or objgraph's
 * show_growth().
 */
#include "tour.h"

#include <string.h>

enum { SESSIONS = 64, TYPES = 8 };

struct session {
    hk_object head;
    struct session *next;
    struct cart *cart;
};
struct cart {
    hk_object head;
    struct session *owner; /* a plain pointer: not owned */
};
struct request {
    hk_object head;
    struct session *session;
};

static const hk_field session_fields[] = {
    {"next", HK_REF, offsetof(struct session, next), 0},
    {"cart", HK_REF, offsetof(struct session, cart), 0},
    {0}};
static const hk_field cart_fields[] = {
    {"owner", HK_WEAK, offsetof(struct cart, owner), 0}, {0}};
static const hk_field request_fields[] = {
    {"session", HK_REF, offsetof(struct request, session), 0}, {0}};

static hk_type *session_type, *cart_type, *request_type;
static struct session *sessions;

static hk_type *
make_type(const char *name, size_t size, const hk_field *fields)
{
    hk_type_spec spec = {
        .struct_size = sizeof(spec),
        .name = name,
        .size = size,
        .fields = fields,
    };

    return must(hk_type_register(&spec));
}

/* How many objects of each type; the names are the library's. */
struct snapshot {
    const char *names[TYPES];
    int counts[TYPES];
};

static int *
count_of(struct snapshot *s, const hk_type *type)
{
    int i = 0;

    while (s->names[i] && strcmp(s->names[i], hk_type_name(type)) != 0)
        i++;
    s->names[i] = hk_type_name(type);
    return &s->counts[i];
}

static int
count_object(void *obj, const hk_type *type, void *arg)
{
    (void)obj;
    ++*count_of(arg, type);
    return 0;
}

static void
print_delta(const hk_type *type, struct snapshot *a, struct snapshot *b)
{
    printf("  %s %+d", hk_type_name(type),
           *count_of(b, type) - *count_of(a, type));
}

static void
visit(int says_goodbye)
{
    struct session *session = must(hk_new(session_type));
    struct request *request = must(hk_new(request_type));

    session->cart = must(hk_new(cart_type));
    session->cart->owner = session;
    hk_setref(&request->session, session);
    hk_moveref(&session->next, &sessions);
    hk_moveref(&sessions, &session);
    hk_decref(request);
    if (says_goodbye) {
        session = hk_newref(sessions);
        hk_moveref(&sessions, &session->next); /* out of the list */
        hk_decref(session);
    }
}

int
main(void)
{
    static const char *const marks[] = {"round-1", "round-2", "round-3"};

    session_type = make_type("session", sizeof(struct session), session_fields);
    cart_type = make_type("cart", sizeof(struct cart), cart_fields);
    request_type = make_type("request", sizeof(struct request), request_fields);
    for (int round = 0; round < 3; round++) {
        struct snapshot before = {0}, after = {0};

        hk_gc_get_objects(-1, count_object, &before);
        for (int i = 0; i < SESSIONS; i++)
            visit(i % 4 != 0);
        hk_gc_get_objects(-1, count_object, &after);
        hk_mark(marks[round]);
        printf("%s:", marks[round]);
        print_delta(session_type, &before, &after);
        print_delta(cart_type, &before, &after);
        print_delta(request_type, &before, &after);
        printf("\n");
    }
    printf("unreachable: %d\n", (int)hk_gc_collect(2));
    hk_clearref(&sessions);
    printf("the list let go: %d sessions\n", alive(session_type));
    return 0;
}
