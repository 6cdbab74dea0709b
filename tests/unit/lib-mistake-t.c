/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-mistake -- what the program is told of its mistakes, without the agent.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"
#include "lib/mistake.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

struct node {
    hk_object head;
    struct node *next;
};
static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static hk_type *type;

/* ---- in a child, whose stderr is kept ----------------------------------- */

static char said[8192];

/* The child's status as wait() has it. */
static int
child(void (*fn)(void), const char *abort_on_error)
{
    int fds[2], status;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    if (pipe(fds))
        bail_out("no pipe");
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        if (abort_on_error)
            setenv("HK_ABORT_ON_ERROR", abort_on_error, 1);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (n < sizeof(said) - 1
           && (got = read(fds[0], said + n, sizeof(said) - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(fds[0]);
    waitpid(pid, &status, 0);
    return status;
}

static int
lines(void)
{
    int n = 0;

    for (const char *p = said; *p; p++)
        n += *p == '\n';
    return n;
}

#define PLACE ((void *)(uintptr_t)0x12340)

static void
one(void)
{
    mistake(HK_ERROR_UNDERFLOW, PLACE, type, 0, "done %d times too often", 3);
}

static void
of_nothing(void)
{
    mistake(HK_ERROR_NULL, NULL, type, 0, "hk_this of NULL");
    mistake(HK_ERROR_NO_TYPE, PLACE, NULL, 0, "hk_that of no object");
}

static void
thirty(void)
{
    for (int i = 0; i < 30; i++)
        one();
}

static void
on_stderr(void)
{
    is_int(0, child(one, NULL), "a mistake does not end the program");
    is_str("heapknot: done 3 times too often: node at 0x12340\n", said,
           "what, which type, which address");
    child(of_nothing, NULL);
    is_str("heapknot: hk_this of NULL\nheapknot: hk_that of no object: "
           "0x12340\n", said, "without an object, without a type");
    child(thirty, NULL);
    is_int(20, lines(), "twenty lines, no more");
}

static void
aborting(void)
{
    int status = child(one, "1");

    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
       "HK_ABORT_ON_ERROR=1: abort");
    is_int(1, lines(), "after the line was said");
    is_int(0, child(one, "0"), "HK_ABORT_ON_ERROR=0: none");
    is_int(0, child(one, ""), "HK_ABORT_ON_ERROR=: none");
    status = child(one, "yes");
    ok(WIFSIGNALED(status), "any other value is a yes");
}

/* ---- the program's own function ----------------------------------------- */

static hk_error seen;
static char sentence[256];
static void *seen_arg;
static int calls;

static void
note(const hk_error *error, void *arg)
{
    seen = *error;
    snprintf(sentence, sizeof(sentence), "%s", error->sentence);
    seen_arg = arg;
    calls++;
    errno = EDOM;
}

static void
note_and_err(const hk_error *error, void *arg)
{
    note(error, arg);
    one();
}

static void
err_in_fn(void)
{
    calls = 0;
    hk_set_error_fn(note_and_err, NULL);
    one();
    if (calls != 1)
        _exit(1);
}

static void
told(void)
{
    int place;

    hk_set_error_fn(note, &place);
    errno = ERANGE;
    one();
    is_int(ERANGE, errno, "errno is kept");
    is_int(1, calls, "the function is called");
    is_int(HK_ERROR_UNDERFLOW, seen.kind, "the kind");
    is_int(sizeof(hk_error), (int64_t)seen.struct_size, "struct_size");
    ok(seen.object == PLACE, "the object");
    is_str("node", seen.type, "the type");
    is_str("done 3 times too often: node at 0x12340", sentence, "a sentence");
    ok(seen_arg == &place, "the argument");
    of_nothing();
    is_int(3, calls, "each time");
    is_str(NULL, seen.type, "no type: NULL");
    is_int(0, child(err_in_fn, NULL), "a mistake of its own: not called again");
    is_int(1, lines(), "but said on stderr");
    hk_set_error_fn(NULL, NULL);
    is_int(0, child(one, NULL), "NULL: as before");
    is_int(1, lines(), "on stderr");
    is_int(3, calls, "and not the function");
}

static void
unraisable(void)
{
    struct node *n = hk_new(type);
    char expected[100];

    hk_set_error_fn(note, NULL);
    hk_unraisable(n, "the file was gone");
    is_int(HK_ERROR_UNRAISABLE, seen.kind, "hk_unraisable: its kind");
    snprintf(expected, sizeof(expected), "the file was gone: node at %p",
             (void *)n);
    is_str(expected, sentence, "the sentence, the object");
    hk_unraisable(NULL, "nobody's");
    is_str("nobody's", sentence, "of no object");
    hk_unraisable(NULL, NULL);
    ok(sentence[0], "without a sentence, too");
    hk_set_error_fn(NULL, NULL);
    hk_decref(n);
}

static void
sentences(void)
{
    char expected[256];

    hk_type_register(NULL);
    snprintf(expected, sizeof(expected), "%s", hk_last_error());
    hk_set_error_fn(note, NULL);
    one();
    is_str(expected, hk_last_error(), "hk_last_error is left alone");
    mistake(HK_ERROR_NULL, NULL, NULL, 0, "%0400d", 1);
    ok(strlen(sentence) < 256, "what is too long is cut");
    is_int(0, mistake_count(), "without the agent nothing is kept");
    hk_set_error_fn(NULL, NULL);
}

/* ---- kinds -------------------------------------------------------------- */

static void
is_kind(int kind, const char *what)
{
    is_int(kind, seen.kind, "%s", what);
    seen.kind = 0;
}

static void
leave(void *self)
{
    (void)self;
}

static void
of_counts(void)
{
    static struct node n;
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "lasting";
    s.size = sizeof(n);
    s.fields = fields;
    s.dealloc = leave; /* its memory stays */
    hk_set_error_fn(note, NULL);
    hk_incref(NULL);
    is_kind(HK_ERROR_NULL, "hk_incref(NULL)");
    hk_decref(NULL);
    is_kind(HK_ERROR_NULL, "hk_decref(NULL)");
    hk_init(NULL, type);
    is_kind(HK_ERROR_NULL, "hk_init(NULL)");
    hk_track(NULL);
    is_kind(HK_ERROR_NULL, "hk_track(NULL)");
    hk_init(&n, NULL);
    is_kind(HK_ERROR_NO_TYPE, "hk_init without a type");
    hk_init(&n, hk_type_register(&s));
    hk_track(&n);
    is_kind(0, "tracked");
    hk_track(&n);
    is_kind(HK_ERROR_TRACKED_TWICE, "tracked twice");
    hk_decref(&n);
    is_kind(0, "the end");
    hk_incref(&n);
    is_kind(HK_ERROR_DEAD, "referenced after it");
    hk_decref(&n);
    ok(seen.kind == HK_ERROR_UNDERFLOW || seen.kind == HK_ERROR_DEAD,
       "released after it");
    is_int(0, (int64_t)hk_refcount(&n), "and the count is 0 as before");
    hk_set_error_fn(NULL, NULL);
}

int
main(void)
{
    hk_type_spec s = {0};

    unsetenv("HK_ABORT_ON_ERROR");
    s.struct_size = sizeof(s);
    s.name = "node";
    s.size = sizeof(struct node);
    s.fields = fields;
    type = hk_type_register(&s);
    on_stderr();
    aborting();
    told();
    unraisable();
    sentences();
    of_counts();
    return done_testing();
}
