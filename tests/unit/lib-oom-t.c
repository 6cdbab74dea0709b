/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-oom -- each allocation of each operation fails once: the operation says
 * so and leaves nothing behind, or does without; the next one succeeds.
 *
 * A case runs in a child process for each allocation, so that what the library
 * makes once (tables, a thread's shard) is made anew each time.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-oom.h"

#define CHAIN 100000
#define MANY 100 /* more than any list has room for at first */

struct node {
    hk_object head;
    struct node *next;
};
struct late {
    long before;
    hk_object head;
    struct late *next;
};
struct foreign {
    long refs;
    void *peer;
};
struct wide {
    hk_object head;
    struct node *to[MANY];
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field late_fields[] = {
    {"next", HK_REF, offsetof(struct late, next), 0}, {0}};
static const hk_field foreign_fields[] = {
    {"peer", HK_REF, offsetof(struct foreign, peer), 0}, {0}};
static const hk_field wide_fields[] = {
    {"to", HK_REF_INLINE, offsetof(struct wide, to), MANY}, {0}};

static void
finalize(void *self)
{
    (void)self;
}

static hk_type *
make(hk_type_spec s)
{
    s.struct_size = sizeof(s);
    return hk_type_register(&s);
}

#define MAKE(...) make((hk_type_spec){__VA_ARGS__})

static hk_type *
node_type(void)
{
    return MAKE(.name = "node", .size = sizeof(struct node),
                .fields = node_fields);
}

static hk_type *
finalized_type(void)
{
    return MAKE(.name = "finalized", .size = sizeof(struct node),
                .fields = node_fields, .finalize = finalize);
}

static hk_type *
late_type(void)
{
    return MAKE(.name = "late", .size = sizeof(struct late),
                .header_offset = offsetof(struct late, head),
                .fields = late_fields);
}

static hk_type *
foreign_type(void)
{
    return MAKE(.name = "foreign", .size = sizeof(struct foreign),
                .fields = foreign_fields, .flags = HK_TYPE_FOREIGN,
                .refcount_width = sizeof(long));
}

static hk_type *
wide_type(void)
{
    return MAKE(.name = "wide", .size = sizeof(struct wide),
                .fields = wide_fields);
}

/* ---- an operation, in a child for each of its allocations --------------- */

enum { REFUSED, DONE, DID_WITHOUT, WRONG = 10 }; /* exit status of a child */

static long nth;
static int mode;
static int line; /* of the check that failed; 0: none */

#define EXPECT(held) \
    do { \
        if (!(held) && !line) \
            line = __LINE__; \
    } while (0)

/* Between these two an allocation fails. */
static void
begin(void)
{
    errno = 0;
    failing(nth, mode);
}

/* worked: as the operation says. */
static int
end(int worked)
{
    int code = errno, failed = failing(0, 0);

    if (worked)
        return failed ? DID_WITHOUT : DONE;
    EXPECT(failed);
    EXPECT(code == ENOMEM);
    EXPECT(strstr(hk_last_error(), "no memory") != NULL);
    return REFUSED;
}

static int
in_child(int (*fn)(void))
{
    int status, result;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        result = fn();
        if (line)
            fprintf(stderr, "# line %d does not hold\n", line);
        _exit(line ? WRONG : result);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : WRONG + 1;
}

/* Until none fails.  At least `least` of its allocations must have made it
   fail, or it must have done without. */
static void
each(const char *name, int (*fn)(void), int least)
{
    for (mode = ONCE; mode <= FOR_EVER; mode++) {
        int seen[3] = {0}, result;

        for (nth = 1;; nth++) {
            result = in_child(fn);
            if (result > DID_WITHOUT || nth > 1000)
                break;
            seen[result]++;
            if (result == DONE)
                break;
        }
        ok(result == DONE, "%s: each allocation fails%s (%d refused, %d done "
           "without)", name, mode == ONCE ? "" : ", and all later ones",
           seen[REFUSED], seen[DID_WITHOUT]);
        if (result != DONE)
            diag("allocation %ld: status %d", nth, result);
        ok(seen[REFUSED] + seen[DID_WITHOUT] >= least, "%s: %d at least", name,
           least);
    }
}

/* ---- the operations ----------------------------------------------------- */

static int
do_type(void)
{
    hk_type *type;
    int result;

    begin();
    type = node_type();
    result = end(type != NULL);
    if (!type)
        type = node_type();
    EXPECT(type && node_type() == type);
    EXPECT(late_type() != NULL);
    return result;
}

/* Counted, tracked if there was room, and nothing is left of it. */
static void
check_object(void *object, hk_object *head, hk_type *type, long before)
{
    uint64_t created, destroyed, tracked;

    hk_type_counts(type, &created, &destroyed, &tracked);
    EXPECT(created == 1 && destroyed == 0);
    EXPECT((int)tracked == hk_gc_is_tracked(object));
    EXPECT(hk_refcount(head) == 1);
    hk_decref(head);
    hk_type_counts(type, &created, &destroyed, &tracked);
    EXPECT(created == 1 && destroyed == 1 && tracked == 0);
    EXPECT(blocks == before);
}

static int
do_new_of(hk_type *type, size_t header_offset)
{
    long before = blocks;
    uint64_t created;
    char *object;
    int result;

    begin();
    object = hk_new(type);
    result = end(object != NULL);
    if (!object) {
        hk_type_counts(type, &created, NULL, NULL);
        EXPECT(created == 0 && blocks == before);
        object = hk_new(type);
        EXPECT(object && hk_gc_is_tracked(object));
    }
    check_object(object, (hk_object *)(void *)(object + header_offset), type,
                 before);
    EXPECT(hk_gc_collect(2) == 0);
    return result;
}

static int
do_new(void)
{
    return do_new_of(node_type(), 0);
}

static int
do_new_finalized(void)
{
    return do_new_of(finalized_type(), 0);
}

static int
do_new_late(void)
{
    return do_new_of(late_type(), offsetof(struct late, head));
}

static int
do_adopt(void)
{
    static struct foreign f = {1, NULL};
    hk_type *type = foreign_type();
    uint64_t created, tracked;
    int failed, result;

    begin();
    failed = hk_adopt(&f, type);
    result = end(!failed);
    if (failed) {
        hk_type_counts(type, &created, NULL, &tracked);
        EXPECT(created == 0 && tracked == 0);
        EXPECT(!hk_gc_is_tracked(&f) && f.refs == 1);
        EXPECT(hk_forget(&f) == -1 && errno == ENOENT);
        EXPECT(hk_adopt(&f, type) == 0);
    }
    EXPECT(hk_gc_is_tracked(&f) && hk_forget(&f) == 0);
    return result;
}

static int weak_calls, finalizer_calls, gc_calls;

static void
count_weak(hk_weak *weak, void *arg)
{
    (void)weak;
    (void)arg;
    weak_calls++;
}

static int
do_weak_of(hk_weak_fn fn)
{
    struct node *n = hk_new(node_type());
    long before = blocks;
    hk_weak *weak;
    int result;

    begin();
    weak = hk_weak_new(n, fn, NULL);
    result = end(weak != NULL);
    if (!weak) {
        EXPECT(hk_weak_count(n) == 0 && blocks == before);
        weak = hk_weak_new(n, fn, NULL);
    }
    EXPECT(hk_weak_lock(weak) == n && hk_weak_count(n) == 1);
    hk_decref(n);
    hk_decref(n);
    EXPECT(!hk_weak_lock(weak) && weak_calls == (fn != NULL));
    hk_weak_free(weak);
    EXPECT(blocks == before - 1);
    return result;
}

static int
do_weak(void)
{
    return do_weak_of(count_weak);
}

static int
do_weak_shared(void)
{
    return do_weak_of(NULL);
}

static void
count_finalizer(void *arg)
{
    (void)arg;
    finalizer_calls++;
}

static int
do_finalizer_of(unsigned flags)
{
    struct node *n = hk_new(node_type());
    hk_finalizer f;
    int result;

    begin();
    f = hk_finalizer_add(n, count_finalizer, NULL, flags);
    result = end(f != 0);
    if (!f) {
        EXPECT(hk_weak_count(n) == 0);
        f = hk_finalizer_add(n, count_finalizer, NULL, flags);
    }
    EXPECT(f && hk_finalizer_alive(f) && hk_weak_count(n) == 1);
    hk_decref(n);
    EXPECT(finalizer_calls == 1 && !hk_finalizer_alive(f));
    return result;
}

static int
do_finalizer(void)
{
    return do_finalizer_of(0);
}

static int
do_finalizer_at_exit(void)
{
    return do_finalizer_of(HK_FINALIZER_ATEXIT);
}

/* All places are taken: more are to be made. */
static int
do_finalizer_grown(void)
{
    struct node *n = hk_new(node_type());
    int result;

    for (int i = 0; i < 64; i++)
        EXPECT(hk_finalizer_add(n, count_finalizer, NULL, 0));
    result = do_finalizer_of(0);
    finalizer_calls = 0;
    hk_decref(n);
    EXPECT(finalizer_calls == 64);
    return result;
}

static void
count_gc(int phase, const hk_gc_info *info, void *arg)
{
    (void)phase;
    (void)info;
    (void)arg;
    gc_calls++;
}

static int
do_callback_after(int others)
{
    int failed, result;

    for (int i = 0; i < others; i++)
        EXPECT(hk_gc_add_callback(count_gc, NULL) == 0);
    begin();
    failed = hk_gc_add_callback(count_gc, NULL);
    result = end(!failed);
    if (failed)
        EXPECT(hk_gc_add_callback(count_gc, NULL) == 0);
    EXPECT(hk_gc_collect(2) == 0 && gc_calls == 2 * (others + 1));
    for (int i = 0; i <= others; i++)
        EXPECT(hk_gc_remove_callback(count_gc, NULL) == 0);
    EXPECT(hk_gc_remove_callback(count_gc, NULL) == -1);
    return result;
}

static int
do_callback(void)
{
    return do_callback_after(0);
}

static int
do_callback_grown(void)
{
    return do_callback_after(8);
}

static int
count_object(void *object, const hk_type *type, void *arg)
{
    (void)object;
    (void)type;
    ++*(int *)arg;
    return 0;
}

static int
do_referents(void)
{
    struct wide *wide = hk_new(wide_type());
    struct node *n = hk_new(node_type());
    void *objs[] = {wide};
    int told = 0, failed, result;
    long before = blocks;

    for (int i = 0; i < MANY; i++)
        hk_setref(&wide->to[i], n);
    begin();
    failed = hk_gc_get_referents(objs, 1, count_object, &told);
    result = end(!failed);
    EXPECT(blocks == before);
    if (failed) {
        EXPECT(told == 0);
        EXPECT(hk_gc_get_referents(objs, 1, count_object, &told) == 0);
    }
    EXPECT(told == MANY);
    EXPECT(hk_refcount(n) == MANY + 1);
    return result;
}

static int
do_check(void)
{
    struct wide *wide = hk_new(wide_type());
    struct node *n = hk_new(node_type());
    long before = blocks;
    int failed, result;

    for (int i = 0; i < MANY; i++)
        hk_setref(&wide->to[i], n);
    begin();
    failed = hk_type_check(wide);
    result = end(!failed);
    EXPECT(blocks == before);
    EXPECT(hk_type_check(wide) == 0);
    return result;
}

/* The first thing that a process does with the library. */
static int
do_scan(void)
{
    hk_gc_result found = {.struct_size = sizeof(found)};
    struct node *n = hk_new(node_type());
    int failed, result;

    hk_setref(&n->next, n);
    hk_decref(n);
    begin();
    failed = hk_gc_scan(2, &found);
    result = end(!failed);
    EXPECT(scratch_bytes == 0);
    EXPECT(!failed || found.objects == 0);
    EXPECT(hk_gc_scan(2, &found) == 0 && found.unreachable == 1);
    EXPECT(hk_gc_collect(2) == 1 && scratch_bytes == 0);
    return result;
}

/* It stays untracked, and can be tracked once there is memory. */
static int
do_track(void)
{
    struct node *n = malloc(sizeof(*n));
    int result;

    hk_init(n, node_type());
    n->next = NULL;
    begin();
    hk_track(n);
    result = end(1);
    EXPECT(hk_gc_is_tracked(n) == (result == DONE));
    if (result == DID_WITHOUT) {
        hk_track(n);
        EXPECT(hk_gc_is_tracked(n));
    }
    hk_decref(n);
    return result;
}

/* ---- a long list dies without a record ---------------------------------- */

static hk_type *chain_type;

/* In a thread, whose stack is small. */
static void *
end_chain(void *first)
{
    hk_decref(first);
    return NULL;
}

static int
die_in_thread(void *first)
{
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    failing(1, FOR_EVER); /* pthread_create() has its own malloc */
    if (pthread_create(&thread, &attr, end_chain, first))
        return WRONG;
    pthread_join(thread, NULL);
    failed = failing(0, 0);
    EXPECT(blocks == 0);
    return failed ? DID_WITHOUT : DONE;
}

/* No record can be had when they are made: malloc still gives memory. */
static int
die_chain(void)
{
    struct node *first = NULL, *n;
    uint64_t created, destroyed;
    int result;

    chain_type = mode ? finalized_type() : node_type();
    for (int i = 0; i < CHAIN; i++) {
        n = __real_calloc(1, sizeof(*n));
        blocks++;
        hk_init(n, chain_type);
        n->next = first;
        first = n;
    }
    result = die_in_thread(first);
    hk_type_counts(chain_type, &created, &destroyed, NULL);
    EXPECT(created == CHAIN && destroyed == CHAIN);
    return result;
}

static void
chains(void)
{
    int result;

    for (mode = 0; mode < 2; mode++) {
        result = in_child(die_chain);
        is_int(DID_WITHOUT, result,
               "a list of %d %s nodes dies without memory for a record",
               CHAIN, mode ? "finalized" : "plain");
    }
}

int
main(void)
{
    each("hk_type_register", do_type, 1);
    each("hk_new", do_new, 2);
    each("hk_new with finalize", do_new_finalized, 2);
    each("hk_new, header further in", do_new_late, 3);
    each("hk_adopt", do_adopt, 2);
    each("hk_weak_new", do_weak, 2);
    each("hk_weak_new, shared", do_weak_shared, 2);
    each("hk_finalizer_add", do_finalizer, 3);
    each("hk_finalizer_add, at exit", do_finalizer_at_exit, 3);
    each("hk_finalizer_add, no place left", do_finalizer_grown, 3);
    each("hk_gc_add_callback", do_callback, 1);
    each("hk_gc_add_callback, no place left", do_callback_grown, 1);
    each("hk_gc_get_referents", do_referents, 2);
    each("hk_type_check", do_check, 4);
    each("hk_gc_scan", do_scan, 4);
    each("hk_track", do_track, 1);
    chains();
    return done_testing();
}
