/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * closefds.c -- closes every descriptor there is, as daemons do.
 *
 *      closefds [loop|range|dup2]
 *
 * Closes 3 to the limit, by a loop, by close_range, or by dup2 of its own
 * files over them.  Then it opens files of its own, which get the numbers that
 * a preloaded agent may have had, fills them, goes on allocating in threads
 * long enough for everything that happens now and then, and looks: the files'
 * contents, sizes, offsets and flags must be its own.  Nor may the agent take
 * the low number that the program's first open expects.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 64, BYTES = 5000, FIRST = 3, LAST = 1100, MILLISECONDS = 900 };

static int files[FILES];
static char folder[] = "closefds.XXXXXX";
static bool stopping; /* __atomic */

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static void
close_by_loop(void)
{
    for (int fd = FIRST; fd < LAST; fd++)
        close(fd);
}

static void
close_by_range(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, FIRST, ~0u, 0) == 0)
        return;
#endif
    close_by_loop();
}

static void
pattern(int file, char *bytes)
{
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (char)('A' + (file * 7 + i) % 50);
}

static void
open_file(int file)
{
    char name[64], bytes[BYTES];

    snprintf(name, sizeof name, "%s/%d", folder, file);
    files[file] = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (files[file] < 0)
        die(name);
    pattern(file, bytes);
    if (write(files[file], bytes, BYTES) != BYTES)
        die(name);
    unlink(name);
}

/* Puts an own file over every number, whatever was there. */
static void
cover_by_dup2(void)
{
    int own = open("/dev/null", O_RDWR);

    if (own < 0)
        die("/dev/null");
    for (int fd = FIRST; fd < LAST; fd++)
        if (fd != own)
            dup2(own, fd);
    close_by_loop();
}

static bool
file_is_untouched(int file)
{
    char expected[BYTES], bytes[BYTES + 1];
    struct stat stat;
    int fd = files[file];

    pattern(file, expected);
    return fstat(fd, &stat) == 0 && stat.st_size == BYTES &&
           lseek(fd, 0, SEEK_CUR) == BYTES &&
           pread(fd, bytes, BYTES + 1, 0) == BYTES &&
           memcmp(bytes, expected, BYTES) == 0 &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR &&
           fcntl(fd, F_GETFD) == 0;
}

static int
count_untouched(void)
{
    int count = 0;

    for (int i = 0; i < FILES; i++)
        if (file_is_untouched(i))
            count++;
        else
            fprintf(stderr, "touched: file %d, descriptor %d\n", i, files[i]);
    return count;
}

static void *
churn(void *arg)
{
    unsigned n = 1;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        void *block = malloc(1 + (n = n * 69069 + 1) % 5000);

        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
        if (n % 64 == 0)
            usleep(200);
    }
    return arg;
}

/* Longer than an agent's usual interval. */
static void
allocate_for_a_while(void)
{
    struct timespec while_ns = {.tv_nsec = MILLISECONDS * 1000000L};
    pthread_t threads[2];

    for (int t = 0; t < 2; t++)
        if (pthread_create(&threads[t], NULL, churn, NULL) != 0)
            die("pthread_create");
    nanosleep(&while_ns, NULL);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
}

int
main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "loop";
    struct timespec start_ns = {.tv_nsec = 300000000L};
    pid_t child;

    free(malloc(100));
    nanosleep(&start_ns, NULL); /* whatever starts late has started */
    printf("first descriptor: %d\n", dup(0));
    if (strcmp(how, "range") == 0)
        close_by_range();
    else if (strcmp(how, "dup2") == 0)
        cover_by_dup2();
    else
        close_by_loop();
    if (!mkdtemp(folder))
        die(folder);
    for (int i = 0; i < FILES; i++)
        open_file(i);
    rmdir(folder);
    allocate_for_a_while();
    printf("files untouched: %d of %d\n", count_untouched(), FILES);
    fflush(stdout);
    child = fork(); /* an agent opens something for it, too */
    if (child == 0) {
        __atomic_store_n(&stopping, false, __ATOMIC_RELAXED);
        allocate_for_a_while();
        printf("in a child: %d of %d\n", count_untouched(), FILES);
        return 0;
    }
    waitpid(child, NULL, 0);
    printf("in the parent: %d of %d\n", count_untouched(), FILES);
    return count_untouched() == FILES ? 0 : 1;
}
