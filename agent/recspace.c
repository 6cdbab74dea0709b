/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recspace.c -- a file that grows by chunks and is written through mappings.
 *
 * Called by   recfile.c.
 * Threads     under lock_publish.
 * Memory      static; mappings of SEGMENT_CHUNKS chunks.
 * Fails       recspace_extend returns 0: the file stays as it is.  After
 *             ENOSPC it asks the kernel again a second later.
 * Invariants  made chunks lie below `allocated`, which fallocate has given
 *             real blocks: a full disk is an error here and never a SIGBUS.
 *             Nothing is written through the descriptor, which the program
 *             may close and reuse: each use proves first that it still is
 *             the recording.
 */
#include "agent/recspace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/options.h"
#include "agent/os.h"
#include "agent/recname.h"
#include "agent/say.h"

#define SEGMENT_CHUNKS 256u
#define SEGMENT_BYTES ((size_t)SEGMENT_CHUNKS * HKR_CHUNK_BYTES)
#define SEGMENT_MAX 16384u /* 64 GiB */
#define LEAST_BYTES (128u << 10)
#define FIRST_CHUNKS 8u /* so that a short process makes a small file */
#define STEP_MAX 64u
#define RETRY_NS UINT64_C(1000000000)
#define HIGH_FD 1000u

struct space {
    unsigned char *head;
    int fd;
    uint32_t made, limit;  /* chunks */
    uint64_t allocated;    /* bytes */
    uint64_t device, inode;
    uint64_t retry_ns;
    const char *refusal;
};
static struct space space = {.fd = -1};
static unsigned char *segments[SEGMENT_MAX];
static char path[RECNAME_BYTES];
static char sentence[HKR_REASON_BYTES];

static uint64_t
chunk_offset(uint32_t number)
{
    return HKR_CHUNKS_OFFSET + (uint64_t)number * HKR_CHUNK_BYTES;
}

/* ---- the descriptor ---------------------------------------------------- */

static uint64_t
limit_of(int resource)
{
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};

    os_call(SYS_prlimit64, 0, resource, 0, (long)&r, 0, 0);
    return r.rlim_cur;
}

/* Up, out of the numbers that programs expect to get. */
static int
move_high(int fd)
{
    uint64_t least = limit_of(RLIMIT_NOFILE);
    long high;

    if (fd < 0)
        return fd;
    least = least > 80 ? least - 64 : least / 2;
    if (least > HIGH_FD)
        least = HIGH_FD;
    high = os_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, (long)least, 0, 0, 0);
    if (high < 0)
        return fd;
    os_close(fd);
    return (int)high;
}

static int
is_ours(const struct stat *st)
{
    return (uint64_t)st->st_dev == space.device &&
           (uint64_t)st->st_ino == space.inode;
}

static int
fd_is_ours(void)
{
    struct stat st;

    return space.fd >= 0 && os_fstat(space.fd, &st) == 0 && is_ours(&st);
}

/* The program closed our number: the name leads to the file again, unless
   that was moved. */
static int
reopen(void)
{
    struct stat st;
    int fd = os_open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);

    if (fd >= 0 && os_fstat(fd, &st) == 0 && is_ours(&st)) {
        space.fd = move_high(fd);
        return 1;
    }
    if (fd >= 0)
        os_close(fd);
    space.fd = -1;
    space.refusal = "it was moved and the program closed its descriptor";
    return 0;
}

/* ---- space -------------------------------------------------------------- */

/* fallocate past RLIMIT_FSIZE sends SIGXFSZ, which kills the program. */
static int
allocate(int fd, uint64_t bytes)
{
    if (bytes > limit_of(RLIMIT_FSIZE))
        return -EFBIG;
    return os_allocate(fd, bytes);
}

static uint32_t
step_chunks(void)
{
    uint32_t step = space.made / 8;

    if (step < FIRST_CHUNKS)
        step = FIRST_CHUNKS;
    if (step > STEP_MAX)
        step = STEP_MAX;
    return step > space.limit - space.made ? space.limit - space.made : step;
}

static int
grow(void)
{
    uint64_t bytes = chunk_offset(space.made + step_chunks());
    int err;

    if (os_now_coarse_ns() < space.retry_ns ||
        (!fd_is_ours() && !reopen()))
        return 0;
    err = allocate(space.fd, bytes);
    if (err) {
        bytes = chunk_offset(space.made + 1);
        err = allocate(space.fd, bytes);
    }
    if (err) {
        space.retry_ns = os_now_coarse_ns() + RETRY_NS;
        space.refusal = err == -EFBIG ? "the limit on file size is reached"
                        : err == -ENOSPC || err == -EDQUOT
                            ? "the disk is full"
                            : "the system gives it no more space";
        return 0;
    }
    space.allocated = bytes;
    return 1;
}

static int
map_segment(uint32_t segment)
{
    if (segments[segment])
        return 1;
    if (!fd_is_ours() && !reopen())
        return 0;
    segments[segment] = os_map_file(
        space.fd, chunk_offset(segment * SEGMENT_CHUNKS), SEGMENT_BYTES);
    return segments[segment] != NULL;
}

uint32_t
recspace_limit(void)
{
    return space.limit;
}

uint32_t
recspace_left(void)
{
    return space.limit - space.made;
}

const char *
recspace_refusal(void)
{
    return space.made >= space.limit || !space.refusal
               ? "max_file= is reached"
               : space.refusal;
}

int
recspace_extend(uint32_t *number)
{
    if (!space.head || space.made >= space.limit)
        return 0;
    if (chunk_offset(space.made + 1) > space.allocated && !grow())
        return 0;
    if (!map_segment(space.made / SEGMENT_CHUNKS))
        return 0;
    *number = space.made++;
    return 1;
}

struct hkr_chunk *
recspace_chunk(uint32_t number)
{
    unsigned char *segment = segments[number / SEGMENT_CHUNKS];

    return (struct hkr_chunk *)(void *)(segment +
                                        (size_t)(number % SEGMENT_CHUNKS) *
                                            HKR_CHUNK_BYTES);
}

/* ---- birth -------------------------------------------------------------- */

static const char *
explain(int err)
{
    switch (-err) {
    case ENOENT:
    case ENOTDIR:
        return "output folder missing: make it, or set output=";
    case EACCES:
    case EPERM:
        return "no permission: set output= to a folder you may write";
    case EROFS:
        return "read-only file system: set output=";
    case ENOSPC:
    case EDQUOT:
        return "the disk is full: set output= to another one";
    case EFBIG:
        return "over the limit on file size (ulimit -f)";
    case ENAMETOOLONG:
        return "the name is too long: set output=";
    case EEXIST:
        return "the name is taken: put %p or %n into output=";
    case ENODEV:
    case ENOMEM:
        return "it cannot be mapped: set output= to another file system";
    case EMFILE:
    case ENFILE:
        return "no file descriptor is free";
    }
    return "the system refuses: set output=";
}

static int
fail(int err, const char **why)
{
    say_format(sentence, sizeof(sentence), "cannot make the recording %s: %s",
               path[0] ? path : opt.output, explain(err));
    *why = sentence;
    return err;
}

/* A device or a pipe in the way is a mistake in output=, not an older
   recording to step aside for. */
static int
is_in_the_way(void)
{
    struct stat st;

    return os_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st,
                   AT_SYMLINK_NOFOLLOW, 0, 0) == 0 &&
           !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode);
}

static int
open_new(void)
{
    int fd = -EEXIST;

    for (unsigned i = 1; fd == -EEXIST && i <= RECNAME_TRIES; i++) {
        if (!recname_make(path, sizeof(path), opt.output, i))
            return -ENAMETOOLONG;
        fd = os_open(path,
                     O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC,
                     0600);
        if (fd == -EEXIST && is_in_the_way())
            return fd;
    }
    return move_high(fd);
}

static int
make_head(void)
{
    uint64_t bytes = chunk_offset(step_chunks());
    struct stat st;
    int err = os_fstat(space.fd, &st);

    if (err)
        return err;
    space.device = (uint64_t)st.st_dev;
    space.inode = (uint64_t)st.st_ino;
    err = allocate(space.fd, bytes);
    if (err)
        return err;
    space.allocated = bytes;
    space.head = os_map_file(space.fd, 0, HKR_CHUNKS_OFFSET);
    return space.head ? 0 : -ENODEV;
}

static uint32_t
chunks_allowed(void)
{
    uint64_t chunks =
        (opt.max_file - HKR_CHUNKS_OFFSET) / HKR_CHUNK_BYTES;
    uint64_t most = (uint64_t)SEGMENT_MAX * SEGMENT_CHUNKS;

    return (uint32_t)(chunks < most ? chunks : most);
}

int
recspace_create(const char **why)
{
    int err;

    path[0] = '\0';
    if (opt.max_file < LEAST_BYTES) {
        *why = "max_file= is too small for a recording: at least 128KiB";
        return -EINVAL;
    }
    space.limit = chunks_allowed();
    space.fd = open_new();
    if (space.fd < 0)
        return fail(space.fd, why);
    err = make_head();
    if (err) {
        os_call(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
        os_close(space.fd);
        space.fd = -1;
        return fail(err, why);
    }
    return 0;
}

const char *
recspace_path(void)
{
    return path;
}

int
recspace_descriptor(void)
{
    return space.fd;
}

unsigned char *
recspace_head(void)
{
    return __atomic_load_n(&space.head, __ATOMIC_ACQUIRE);
}

/* ---- loss --------------------------------------------------------------- */

/* With descriptor and name both gone nobody else can reach the file either,
   and its mappings keep it alive. */
int
recspace_is_whole(void)
{
    struct stat st;

    if (!space.head)
        return 0;
    if ((space.fd < 0 || os_fstat(space.fd, &st) != 0 || !is_ours(&st)) &&
        (os_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st,
                 AT_SYMLINK_NOFOLLOW, 0, 0) != 0 ||
         !is_ours(&st)))
        return 1;
    return (uint64_t)st.st_size >= space.allocated;
}

static void
forget(void)
{
    int fd = fd_is_ours() ? space.fd : -1;

    if (fd >= 0)
        os_close(fd);
    memset(&space, 0, sizeof(space));
    space.fd = -1;
}

static void
replace(void *at, size_t bytes)
{
    os_call(SYS_mmap, (long)at, (long)bytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void
recspace_detach(void)
{
    unsigned char *head = space.head;

    if (!head)
        return;
    __atomic_store_n(&space.head, NULL, __ATOMIC_RELEASE);
    replace(head, HKR_CHUNKS_OFFSET);
    for (uint32_t i = 0; i < SEGMENT_MAX && segments[i]; i++)
        replace(segments[i], SEGMENT_BYTES);
    forget();
}

void
recspace_abandon(void)
{
    os_unmap(space.head, HKR_CHUNKS_OFFSET);
    for (uint32_t i = 0; i < SEGMENT_MAX && segments[i]; i++) {
        os_unmap(segments[i], SEGMENT_BYTES);
        segments[i] = NULL;
    }
    forget();
    path[0] = '\0';
}
