/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_twins.c -- stacks that look like the one before, and are not.
 *
 *      unwind_twins [WALKS]
 *
 * Frames of hand-written functions, with call frame information, that do
 * nothing but make room and call the next one of a list, so that any stack can
 * be built, word by word.  They write nothing into their room: the words of
 * the stack before are still there.  Then: stacks in pairs that differ in one
 * place only (outermost, middle, innermost; one return address; a frame
 * pointer and no return address; one frame less over the same words), and long
 * walks at random, each stack a small change of the one before.
 *
 * x86-64 only; elsewhere it plants nothing but the C frames.
 */
#define _GNU_SOURCE 1
#include <pthread.h>

#include "tests/victims/chain.h"

enum { DEEPEST = 180, THREADS = 2 };

#if defined(__x86_64__)
struct walk {
    const struct frame *frames[DEEPEST + 1];
    size_t pads[DEEPEST + 1];   /* room of frames whose room is variable */
    uintptr_t rbp[DEEPEST + 1]; /* what frames put there that need no rbp */
    int count;
    uint64_t random;
};

struct frame {
    const char *name;
    void (*run)(const struct walk *, long);
};

/*
 * In all of them rdi is the walk and rsi the index of this frame; the next one
 * is called as frames[rsi + 1]->run(rdi, rsi + 1).  Offsets are checked below.
 */
#define NEXT "inc %rsi\n mov (%rdi,%rsi,8),%rax\n call *8(%rax)\n"
#define FUNCTION(name, body)                                               \
    void name(const struct walk *, long);                                  \
    __asm__(".text\n.globl " #name "\n.type " #name ",@function\n" #name   \
            ":\n.cfi_startproc\n" body ".cfi_endproc\n.size " #name ",.-"  \
            #name "\n")
#define PLAIN(name, room)                                                  \
    FUNCTION(name, "sub $" #room ",%rsp\n.cfi_adjust_cfa_offset " #room    \
             "\n" NEXT "add $" #room ",%rsp\n"                             \
             ".cfi_adjust_cfa_offset -" #room "\nret\n")
/* rbp is the frame pointer; 16 + room bytes. */
#define FRAMED(name, room)                                                 \
    FUNCTION(name, "push %rbp\n.cfi_def_cfa_offset 16\n"                   \
             ".cfi_offset %rbp,-16\nmov %rsp,%rbp\n"                       \
             ".cfi_def_cfa_register %rbp\nsub $" #room ",%rsp\n" NEXT      \
             "leave\n.cfi_def_cfa %rsp,8\nret\n")
/* rbp is a register like others: saved, and something else is put there. */
#define BORROWED(name, room)                                               \
    FUNCTION(name, "push %rbp\n.cfi_def_cfa_offset 16\n"                   \
             ".cfi_offset %rbp,-16\nsub $" #room ",%rsp\n"                 \
             ".cfi_adjust_cfa_offset " #room "\n"                          \
             "mov rbp_offset(%rdi,%rsi,8),%rbp\n" NEXT                     \
             "add $" #room ",%rsp\n.cfi_adjust_cfa_offset -" #room "\n"    \
             "pop %rbp\n.cfi_def_cfa_offset 8\nret\n")

PLAIN(plain_a, 8);
PLAIN(plain_b, 8);
PLAIN(plain_c, 8);
PLAIN(wide_a, 24);
PLAIN(wide_b, 24);
PLAIN(huge_a, 70008);
FRAMED(framed_a, 0);
FRAMED(framed_b, 0);
FRAMED(framed_wide, 16);
BORROWED(borrowed_a, 0);
BORROWED(borrowed_b, 0);
BORROWED(borrowed_wide, 16);

/* Room of any size: the frame pointer alone knows where it began. */
FUNCTION(dynamic_a, "push %rbp\n.cfi_def_cfa_offset 16\n"
         ".cfi_offset %rbp,-16\nmov %rsp,%rbp\n"
         ".cfi_def_cfa_register %rbp\nsub pads_offset(%rdi,%rsi,8),%rsp\n"
         NEXT "leave\n.cfi_def_cfa %rsp,8\nret\n");
/* The same with another register than rbp: DW_CFA_def_cfa rbx. */
FUNCTION(dynamic_rbx, "push %rbx\n.cfi_def_cfa_offset 16\n"
         ".cfi_offset %rbx,-16\nmov %rsp,%rbx\n"
         ".cfi_def_cfa_register %rbx\nsub pads_offset(%rdi,%rsi,8),%rsp\n"
         NEXT "mov %rbx,%rsp\npop %rbx\n.cfi_def_cfa %rsp,8\nret\n");
/* Two calls, with more and with less on the stack. */
FUNCTION(pushing, "testq $32,pads_offset(%rdi,%rsi,8)\njz 1f\n"
         "push %rdi\n.cfi_adjust_cfa_offset 8\npush %rsi\n"
         ".cfi_adjust_cfa_offset 8\npush %rsi\n.cfi_adjust_cfa_offset 8\n"
         NEXT "add $24,%rsp\n.cfi_adjust_cfa_offset -24\nret\n1: push %rdi\n"
         ".cfi_adjust_cfa_offset 8\n"
         NEXT "pop %rdi\n.cfi_adjust_cfa_offset -8\nret\n");
/* rbp is saved on one of two ways, and not where the prologue would. */
FUNCTION(shrunk, "sub $40,%rsp\n.cfi_adjust_cfa_offset 40\n"
         "testq $32,pads_offset(%rdi,%rsi,8)\njz 1f\n"
         "mov %rbp,16(%rsp)\n.cfi_remember_state\n.cfi_offset %rbp,-32\n"
         "mov rbp_offset(%rdi,%rsi,8),%rbp\n" NEXT
         "mov 16(%rsp),%rbp\n.cfi_restore_state\n"
         "add $40,%rsp\n.cfi_remember_state\n.cfi_def_cfa_offset 8\nret\n"
         ".cfi_restore_state\n1:" NEXT
         "add $40,%rsp\n.cfi_def_cfa_offset 8\nret\n");
/* What gcc makes of locals that are aligned more than the stack is: where the
   caller is lies in a word of the frame.  The gap takes up what differs. */
FUNCTION(realigned, "lea 8(%rsp),%r10\n.cfi_def_cfa %r10,0\n"
         "and $-256,%rsp\npush -8(%r10)\npush %rbp\nmov %rsp,%rbp\n"
         ".cfi_escape 0x10,6,2,0x76,0\npush %r10\n"
         ".cfi_escape 0xf,3,0x76,0x78,6\nsub $24,%rsp\n" NEXT
         "mov -8(%rbp),%r10\n.cfi_def_cfa %r10,0\nleave\n"
         "lea -8(%r10),%rsp\n.cfi_def_cfa %rsp,8\nret\n");
/* The last thing it does is a jump: it is not on the stack. */
FUNCTION(jumping, "inc %rsi\nmov (%rdi,%rsi,8),%rax\njmp *8(%rax)\n");
__asm__(".set pads_offset, 8 * 181\n.set rbp_offset, 16 * 181\n");
_Static_assert(offsetof(struct walk, pads) == 8 * 181, "pads_offset");
_Static_assert(offsetof(struct walk, rbp) == 16 * 181, "rbp_offset");
_Static_assert(offsetof(struct frame, run) == 8, "NEXT");

#define FRAME(name) static const struct frame frame_##name = {#name, name}
FRAME(plain_a);
FRAME(plain_b);
FRAME(plain_c);
FRAME(wide_a);
FRAME(wide_b);
FRAME(huge_a);
FRAME(framed_a);
FRAME(framed_b);
FRAME(framed_wide);
FRAME(borrowed_a);
FRAME(borrowed_b);
FRAME(borrowed_wide);
FRAME(dynamic_a);
FRAME(dynamic_rbx);
FRAME(pushing);
FRAME(shrunk);
FRAME(realigned);
static const struct frame frame_jumping = {NULL, jumping};

/* Neighbours are of one size. */
static const struct frame *const frames[] = {
    &frame_plain_a,    &frame_plain_b,       &frame_plain_c,
    &frame_framed_a,   &frame_framed_b,      &frame_borrowed_a,
    &frame_borrowed_b, &frame_wide_a,        &frame_wide_b,
    &frame_framed_wide, &frame_borrowed_wide, &frame_dynamic_a,
    &frame_pushing,    &frame_shrunk,        &frame_jumping,
    &frame_realigned,
};
enum { SORTS = sizeof frames / sizeof frames[0] };

static NOIPA void
at_the_end(const struct walk *walk, long last)
{
    (void)walk;
    (void)last;
    plant(24);
    __asm__ volatile("" : : : "memory"); /* no jump */
}
static const struct frame frame_end = {"at_the_end", at_the_end};

static NOIPA void
go(struct walk *walk)
{
    CHAIN;

    walk->frames[walk->count] = &frame_end;
    for (int i = 0; i <= walk->count; i++)
        if (walk->frames[i]->name)
            chain_enter(walk->frames[i]->name);
    walk->frames[0]->run(walk, 0);
}

/* ---- pairs ---- */

#define STACK(...)                                                         \
    do {                                                                   \
        static const struct frame *const list[] = {__VA_ARGS__};           \
        walk->count = sizeof list / sizeof list[0];                        \
        memcpy(walk->frames, list, sizeof list);                           \
        go(walk);                                                          \
    } while (0)
#define PA &frame_plain_a
#define PB &frame_plain_b
#define WA &frame_wide_a
#define WB &frame_wide_b
#define FA &frame_framed_a
#define FB &frame_framed_b
#define BA &frame_borrowed_a
#define BB &frame_borrowed_b
#define DA &frame_dynamic_a
#define DX &frame_dynamic_rbx
#define RA &frame_realigned

static NOIPA void
one_return_address(struct walk *walk)
{
    CHAIN;

    STACK(PA, PA, PA, PA, PA, PA, PA, PA);
    STACK(PB, PA, PA, PA, PA, PA, PA, PA);
    STACK(PB, PA, PA, PB, PA, PA, PA, PA);
    STACK(PB, PA, PA, PB, PA, PA, PA, PB);
    STACK(PA, PA, PA, PA, PA, PA, PA, PB);
    STACK(PA, PB, PB, PB, PB, PB, PB, PB);
    STACK(WA, FA, FA, FA, FA, FA, FA, FA);
    STACK(WA, FB, FA, FA, FA, FA, FA, FA);
    STACK(WA, FA, FA, FB, FA, FA, FA, FA);
    STACK(WB, FA, FA, FA, FA, FA, FA, FA);
    /* A framed one gives way to one that only borrows rbp, of its size. */
    STACK(WB, FA, BA, FA, BA, FA, PA, PA);
    STACK(WB, BA, FA, BA, FA, FA, PA, PA);
}

/*
 * All return addresses below the dynamic frame are where they were, and so is
 * the dynamic one's: what differs is its frame pointer, and with it where its
 * caller is.
 */
static NOIPA void
frame_pointer_alone(struct walk *walk)
{
    CHAIN;

    for (int inner = 0; inner < 3; inner++)
        for (size_t room = 0; room <= 160; room += 32) {
            const struct frame *in = inner == 0   ? &frame_borrowed_a
                                     : inner == 1 ? &frame_framed_a
                                                  : &frame_plain_a;

            for (int k = 0; k < 2; k++) {
                walk->frames[0] = k ? PB : PA;
                walk->frames[1] = WA;
                walk->frames[2] = DA; /* makes room above */
                walk->pads[2] = 16 + room;
                walk->frames[3] = k ? FA : FB;
                walk->frames[4] = DA; /* and gives it back */
                walk->pads[4] = 256 - room;
                for (int i = 5; i < 12; i++)
                    walk->frames[i] = in;
                walk->count = 12;
                go(walk);
            }
        }
    for (uintptr_t garbage = 0; garbage < 5; garbage++) {
        for (int i = 0; i <= DEEPEST; i++)
            walk->rbp[i] = garbage * 0x1001 + (uintptr_t)walk * (garbage & 1);
        STACK(PA, FA, BA, BA, FA, BA, PA, PA);
        STACK(PA, FA, BA, BA, BA, BB, PA, PA);
        STACK(PB, FA, BA, BA, BA, BB, PA, PA);
    }
}

/* The same through a register that is neither rsp nor rbp. */
static NOIPA void
another_register(struct walk *walk)
{
    CHAIN;

    for (size_t room = 0; room <= 160; room += 32) {
        walk->pads[1] = 16 + room;
        walk->pads[3] = 256 - room;
        STACK(PA, DX, FA, DX, BA, BA, PA, PA);
        STACK(PB, DX, FB, DX, BA, BA, PA, PA);
        STACK(PB, DX, PA, DX, PA, PA, PA, PA);
    }
}

/* From the realigned frame inwards all is the same; outside it the words of
   the last stack are still there, in the room of the new frames. */
static NOIPA void
behind_a_gap(struct walk *walk)
{
    CHAIN;

    for (size_t room = 16; room <= 256; room += 16) {
        walk->pads[0] = room;
        STACK(DA, PA, RA, PA, PA);
        STACK(DA, WB, RA, PA, PA);
        STACK(DA, &frame_shrunk, RA, PA, PA);
        STACK(DA, PB, RA, FA, RA, PA);
        STACK(DA, WA, RA, FA, RA, PA);
        STACK(DA, RA, PA, PA);
    }
}

/* Over 64 KiB, between frames that stay. */
static NOIPA void
far_away(struct walk *walk)
{
    CHAIN;

    for (int i = 0; i < 5; i++) {
        STACK(PA, FA, &frame_huge_a, FA, &frame_huge_a, PA);
        STACK(PB, FA, &frame_huge_a, FA, &frame_huge_a, PA);
        STACK(PB, FA, &frame_huge_a, FB, &frame_huge_a, PB);
        STACK(PB, FA, FB, &frame_huge_a, &frame_huge_a, PB);
    }
}

/* A frame is gone, what it wrote is not. */
static NOIPA void
words_of_before(struct walk *walk)
{
    CHAIN;

    for (size_t room = 16; room <= 208; room += 16) {
        STACK(PA, PB, PA, PB, PA, PB, PA, PB, PA, PB, PA, PB);
        walk->pads[1] = room;
        STACK(PA, DA, PA, PB);
        STACK(PA, FA, FB, FA, FB, FA, FB, FA, FB, FA, FB, FA);
        walk->pads[0] = room;
        STACK(DA, FB, FA, FB);
        STACK(DA, FB, FA);
        STACK(DA, FB);
    }
    STACK(PA, PA, PA, PA);
    STACK(PA, PA, PA);
    STACK(PA, WA, PA);
    STACK(PA, PA, PA, PA);
    STACK(WA, PA, PA);
}

/* ---- walks ---- */

static void
put_any(struct walk *walk, int at)
{
    uint32_t r = chain_random(&walk->random);

    walk->frames[at] = frames[chain_random(&walk->random) % SORTS];
    walk->pads[at] = 16 * (1 + r % 12);
    walk->rbp[at] = r % 3 ? r * (uintptr_t)0x10001
                          : (uintptr_t)&walk->frames[r % DEEPEST];
}

static void
move_frames(struct walk *walk, int to, int from)
{
    size_t n = (size_t)(walk->count - (to > from ? to - 1 : from));

    memmove(walk->frames + to, walk->frames + from,
            n * sizeof walk->frames[0]);
    memmove(walk->pads + to, walk->pads + from, n * sizeof walk->pads[0]);
    memmove(walk->rbp + to, walk->rbp + from, n * sizeof walk->rbp[0]);
    walk->count += to - from;
}

static void
exchange(struct walk *walk, int i, int k)
{
    const struct frame *frame = walk->frames[i];
    size_t pad = walk->pads[i];

    walk->frames[i] = walk->frames[k];
    walk->pads[i] = walk->pads[k];
    walk->frames[k] = frame;
    walk->pads[k] = pad;
}

/* One small step to another stack: often of the same length in bytes. */
static void
change(struct walk *walk, int longest)
{
    uint32_t r = chain_random(&walk->random);
    int at = (int)(chain_random(&walk->random) % (uint32_t)walk->count);

    switch (r % 8) {
    case 0: /* outermost */
        put_any(walk, 0);
        break;
    case 1:
        put_any(walk, at);
        break;
    case 2:
        exchange(walk, at, walk->count - 1 - at);
        break;
    case 3:
        exchange(walk, at, at ? at - 1 : 0);
        break;
    case 4:
        if (walk->count > 2)
            move_frames(walk, at, at + 1);
        break;
    case 5:
        if (walk->count < longest) {
            move_frames(walk, at + 1, at);
            put_any(walk, at);
        }
        break;
    case 6: /* the frame pointer only */
        walk->rbp[at] += 16;
        break;
    default: /* the last few frames, as programs do */
        walk->count -= walk->count > 8 ? (int)(r >> 8) % 6 : 0;
        while (walk->count < longest && chain_random(&walk->random) % 6)
            put_any(walk, walk->count++);
    }
}

static NOIPA void
wander(struct walk *walk, int longest, int steps)
{
    CHAIN;

    walk->count = 0;
    while (walk->count < longest / 2)
        put_any(walk, walk->count++);
    for (int i = 0; i < steps; i++) {
        for (int again = 0; again < 40; again++)
            go(walk);
        change(walk, longest);
    }
}

static NOIPA void
all(struct walk *walk, int steps)
{
    CHAIN;

    one_return_address(walk);
    frame_pointer_alone(walk);
    another_register(walk);
    behind_a_gap(walk);
    far_away(walk);
    words_of_before(walk);
    wander(walk, 6, steps);
    wander(walk, 30, steps);
    wander(walk, DEEPEST, steps / 4);
}
#else
struct walk {
    uint64_t random;
};
static NOIPA void
all(struct walk *walk, int steps)
{
    CHAIN;

    (void)walk;
    while (steps-- > 0)
        plant(24);
}
#endif

static int steps = 1000;

static NOIPA void *
in_thread(void *walk)
{
    CHAIN;

    all(walk, steps);
    return NULL;
}

int
main(int argc, char **argv)
{
    static struct walk walks[THREADS];
    pthread_t threads[THREADS];
    CHAIN;

    if (argc > 1)
        steps = atoi(argv[1]);
    for (int t = 0; t < THREADS; t++) {
        walks[t].random = 1;
        pthread_create(&threads[t], NULL, in_thread, &walks[t]);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    all(&walks[0], steps);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
