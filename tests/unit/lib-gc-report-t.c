/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-report -- what the collector tells of itself: to callbacks, on stderr,
 * at the end of the process; and whom it refuses.  Where CPython's test_gc.py
 * has such a test, its name is in the description.
 */
#include <pthread.h>
#include <regex.h>
#include <sys/wait.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

/* ---- callbacks ---------------------------------------------------------- */

static void
on_gc(int phase, const hk_gc_info *info, void *arg)
{
    note("%s%s%d:%zu,%zu", (const char *)arg,
         phase == HK_GC_START  ? "start"
         : phase == HK_GC_STOP ? "stop"
                               : "?",
         info->generation, info->collected, info->uncollectable);
}

static void
clean_garbage(int phase, const hk_gc_info *info, void *arg)
{
    (void)info;
    (void)arg;
    if (phase != HK_GC_STOP)
        return;
    for (size_t i = 0; i < hk_gc_garbage_count(); i++)
        hk_clearref(&((struct knot *)hk_gc_garbage_get(i))->ref[0]);
    knot_empty_garbage();
}

static void
collect_inside(int phase, const hk_gc_info *info, void *arg)
{
    (void)info;
    (void)arg;
    note("inner%d:%d", phase, (int)hk_gc_collect(2));
}

static void
callbacks(void)
{
    char a[] = "a", b[] = "b";

    hk_gc_collect(2);
    is_int(0, hk_gc_add_callback(on_gc, a), "hk_gc_add_callback");
    is_int(0, hk_gc_add_callback(on_gc, b), "a second one");
    hk_gc_collect(2);
    is_str("astart2:0,0 bstart2:0,0 astop2:0,0 bstop2:0,0", noted(),
           "GCCallbackTests.test_collect: start and stop, in order");
    is_int(0, hk_gc_remove_callback(on_gc, b), "one is removed");
    errno = 0;
    ok(hk_gc_remove_callback(on_gc, b) == -1 && errno == ENOENT, "once");
    hk_gc_collect(1);
    is_str("astart1:0,0 astop1:0,0", noted(),
           "GCCallbackTests.test_collect_generation");
    knot_pair(legacy, legacy, 1);
    knot_pair(legacy, legacy, 3);
    knot_loop(plain, 5);
    is_int(5, hk_gc_collect(2), "GCCallbackTests.test_collect_garbage");
    is_str("astart2:0,0 astop2:1,4", noted(), "collected, uncollectable");
    is_int(4, (int64_t)hk_gc_garbage_count(), "these are garbage");
    hk_gc_add_callback(clean_garbage, NULL);
    hk_gc_collect(2);
    hk_gc_remove_callback(clean_garbage, NULL);
    is_int(0, (int64_t)hk_gc_garbage_count(), "a callback may clean up");
    is_int(0, knot_live(legacy), "they are gone");
    noted();
    hk_gc_add_callback(collect_inside, NULL);
    hk_gc_collect(0);
    is_str("astart0:0,0 inner0:0 astop0:0,0 inner1:0", noted(),
           "a collection from a callback is none");
    hk_gc_remove_callback(collect_inside, NULL);
    hk_gc_remove_callback(on_gc, a);
    hk_gc_collect(2);
    is_str("", noted(), "none is left");
}

/* ---- debug lines -------------------------------------------------------- */

/* The seconds are not ours to know. */
static const char *
without_seconds(const char *text)
{
    static char copy[8192];
    regmatch_t m;
    regex_t re;

    snprintf(copy, sizeof(copy), "%s", text);
    regcomp(&re, "[0-9]+\\.[0-9]{4}s", REG_EXTENDED);
    while (regexec(&re, copy, 1, &m, 0) == 0) {
        copy[m.rm_so] = 'S';
        memmove(copy + m.rm_so + 1, copy + m.rm_eo,
                strlen(copy + m.rm_eo) + 1);
    }
    regfree(&re);
    return copy;
}

static void
debug_lines(void)
{
    struct knot *rooted, *old, *frozen, *loop, *stuck;
    char expected[1000];

    hk_gc_collect(2);
    frozen = knot_new(plain, 0);
    hk_gc_freeze();
    old = knot_new(plain, 1);
    hk_gc_collect(2);
    rooted = knot_new(plain, 2);
    hk_gc_collect(0);
    loop = knot_loop(final, 3);
    stuck = knot_loop(legacy, 4);
    snprintf(expected, sizeof(expected),
             "gc: collecting generation 1...\n"
             "gc: objects in each generation: 2 1 1\n"
             "gc: objects in permanent generation: 1\n"
             "gc: collectable <Final %p>\n"
             "gc: uncollectable <Legacy %p>\n"
             "gc: done, 2 unreachable, 1 uncollectable, S elapsed\n",
             (void *)loop, (void *)stuck);
    hk_gc_set_debug(HK_GC_STATS | HK_GC_COLLECTABLE | HK_GC_UNCOLLECTABLE);
    knot_capture();
    hk_gc_collect(1);
    is_str(expected, without_seconds(knot_said()), "debug lines");
    hk_gc_set_debug(HK_GC_STATS);
    knot_capture();
    hk_gc_collect(2);
    is_str("gc: collecting generation 2...\n"
           "gc: objects in each generation: 0 0 3\n"
           "gc: objects in permanent generation: 1\n"
           "gc: done, 0 unreachable, 0 uncollectable, S elapsed\n",
           without_seconds(knot_said()), "of nothing");
    hk_gc_set_debug(0);
    knot_capture();
    hk_gc_collect(2);
    is_str("", knot_said(), "none without a flag");
    hk_clearref(&stuck->ref[0]);
    knot_empty_garbage();
    hk_gc_unfreeze();
    hk_decref(frozen);
    hk_decref(old);
    hk_decref(rooted);
    noted();
}

static void
debug_flags(void)
{
    is_int(0, hk_gc_get_debug(), "no debug flag at the start");
    hk_gc_set_debug(HK_GC_LEAK);
    is_int(38, hk_gc_get_debug(), "LEAK is 2 | 4 | 32, as in CPython");
    hk_gc_set_debug(0);
}

/* ---- shutdown ----------------------------------------------------------- */

/* What a child says on stderr that runs fn and leaves by exit(). */
static const char *
child_says(void (*fn)(void))
{
    static char text[8192];
    FILE *out = tmpfile();
    ssize_t n;
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        dup2(fileno(out), STDERR_FILENO);
        dup2(fileno(out), STDOUT_FILENO);
        fn();
        exit(0);
    }
    waitpid(pid, &status, 0);
    n = pread(fileno(out), text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    fclose(out);
    if (status)
        diag("the child ended with status %x", status);
    return text;
}

/* What a child leaves, so that a leak checker sees that it is meant. */
static struct knot *volatile left[2];

static void
leave_garbage(unsigned debug)
{
    left[0] = knot_loop(legacy, 1);
    left[1] = knot_loop(legacy, 2);
    hk_gc_collect(2);
    hk_gc_set_debug(debug);
}

static void
leave_plainly(void)
{
    leave_garbage(0);
}

static void
leave_listed(void)
{
    leave_garbage(HK_GC_UNCOLLECTABLE);
}

static void
leave_saved(void)
{
    leave_garbage(HK_GC_SAVEALL);
}

static void
leave_nothing(void)
{
    left[0] = knot_loop(plain, 1);
}

static int
matches(const char *pattern, const char *text)
{
    regex_t re;
    int held;

    regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
    held = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    if (!held)
        diag("text: %s", text);
    return held;
}

static void
test_garbage_at_shutdown(void)
{
    ok(matches("^gc: 2 uncollectable objects at shutdown; use [^\n]*to list "
               "them\n$",
               child_says(leave_plainly)),
       "test_garbage_at_shutdown: how many, and how to list them");
    ok(matches("^gc: 2 uncollectable objects at shutdown\n"
               "[^\n]*<Legacy 0x[0-9a-f]+>[^\n]*\n?"
               "[^\n]*<Legacy 0x[0-9a-f]+>[^\n]*\n$",
               child_says(leave_listed)),
       "a list with DEBUG_UNCOLLECTABLE");
    is_str("", child_says(leave_saved), "nothing with SAVEALL");
    is_str("", child_says(leave_nothing), "nothing without garbage");
}

static void
say_end(void *self)
{
    struct knot *k = self;
    char line[40];
    int n = snprintf(line, sizeof(line), "end%d\n", k->name);

    if (write(STDERR_FILENO, line, (size_t)n) != n)
        abort();
}

static hk_type *saying;

static void
leave_cycles(void)
{
    hk_gc_set_atexit(1);
    knot_loop(saying, 1);
}

static void
leave_cycles_alone(void)
{
    hk_gc_set_atexit(1);
    hk_gc_set_atexit(0);
    left[0] = knot_loop(saying, 1);
}

static void
leave_old_cycles(void)
{
    leave_cycles();
    hk_gc_collect(2);
    hk_gc_disable();
    knot_loop(saying, 2);
}

static void
leave_by_exit(void)
{
    leave_cycles();
    exit(0);
}

static void
exit_collects(void)
{
    saying = knot_type("Saying", (hk_type_spec){.finalize = say_end});
    is_str("end1\n", child_says(leave_cycles),
           "test_gc_main_module_at_shutdown: pending cycles are finalized");
    is_str("end1\nend2\n", child_says(leave_old_cycles),
           "test_gc_ordinary_module_at_shutdown: also when it is disabled");
    is_str("end1\n", child_says(leave_by_exit),
           "test_global_del_SystemExit: also from deep inside");
    is_str("", child_says(leave_cycles_alone), "not unless asked");
}

/* ---- threads ------------------------------------------------------------ */

static pthread_barrier_t barrier;

static void *
second_thread(void *arg)
{
    struct knot *k = knot_new(plain, 1);

    (void)arg;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    hk_decref(k);
    return NULL;
}

static int locks, unlocks;

static void
count_lock(void *arg)
{
    locks++;
    note("%s", (const char *)arg);
}

static void
count_unlock(void *arg)
{
    (void)arg;
    unlocks++;
    note("unlock");
}

static void
refused(int64_t result, const char *name)
{
    ok(result == -1 && errno == EPERM, "refused: %s", name);
    errno = 0;
}

static void
refuse_all(void)
{
    hk_gc_result result = {.struct_size = sizeof(result)};
    void *objs[1] = {NULL};

    errno = 0;
    refused(hk_gc_collect(2), "hk_gc_collect");
    refused(hk_gc_scan(2, &result), "hk_gc_scan");
    refused(hk_gc_freeze(), "hk_gc_freeze");
    refused(hk_gc_unfreeze(), "hk_gc_unfreeze");
    refused(hk_gc_get_objects(-1, knot_is_it, NULL), "hk_gc_get_objects");
    refused(hk_gc_get_referrers(objs, 0, knot_is_it, NULL),
            "hk_gc_get_referrers");
    hk_gc_enable();
    hk_gc_set_threshold(1, 10, 10);
    for (int i = 0; i < 2; i++)
        knot_loop(plain, 1);
    errno = 0;
    refused(hk_gc_poll(), "hk_gc_poll, when one is due");
    hk_gc_set_threshold(700, 10, 10);
    hk_gc_disable();
}

static void
set_lock(void)
{
    char name[] = "lock";
    pthread_t thread;

    hk_gc_collect(2);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, second_thread, NULL);
    pthread_barrier_wait(&barrier);
    refuse_all();
    ok(strlen(hk_last_error()) > 20, "with a sentence: %s", hk_last_error());
    hk_gc_set_lock(count_lock, count_unlock, name);
    is_int(2, hk_gc_collect(2), "with a lock it works");
    is_str("lock unlock", noted(), "which is taken once");
    knot_loop(final, 7);
    hk_gc_collect(2);
    is_str("lock fin7 unlock", noted(), "around finalizers too");
    hk_gc_get_objects(-1, knot_is_it, NULL);
    ok(locks == unlocks && locks > 2, "each lock is unlocked");
    hk_gc_set_lock(NULL, NULL, NULL);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    noted();
    is_int(0, hk_gc_collect(2), "when the other thread has ended too");
    is_str("", noted(), "and no lock is taken");
    pthread_barrier_destroy(&barrier);
}

int
main(void)
{
    knot_types();
    hk_gc_disable();
    debug_flags();
    callbacks();
    debug_lines();
    test_garbage_at_shutdown();
    exit_collects();
    set_lock();
    return done_testing();
}
