/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_plugin.c -- the plugins of unwind_dl.c.
 *
 * Built twice, with another NAME and with OUTER and INNER exchanged, they
 * differ in nothing but the size of two frames, and the sum is the same: every
 * return address and stack pointer of one, but for one, is of the other, too.
 */
void plugin_run(void (*plant)(unsigned long), unsigned long bytes);

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define NAMED(part) PASTE(NAME, part)

#if defined(__x86_64__)
#define FUNCTION(name, room, call)                                         \
    __asm__(".text\n.local " name "\n.type " name ",@function\n" name      \
            ":\n.cfi_startproc\nsub $" room ",%rsp\n"                      \
            ".cfi_adjust_cfa_offset " room "\n" call "add $" room          \
            ",%rsp\n.cfi_adjust_cfa_offset -" room "\nret\n.cfi_endproc\n" \
            ".size " name ",.-" name "\n")

void NAMED(_outer)(void (*plant)(unsigned long), unsigned long bytes);
FUNCTION(STRING(NAMED(_inner)), STRING(INNER),
         "mov %rdi,%rax\nmov %rsi,%rdi\ncall *%rax\n");
FUNCTION(STRING(NAMED(_outer)), STRING(OUTER),
         "call " STRING(NAMED(_inner)) "\n");
#else
static __attribute__((noinline)) void
NAMED(_inner)(void (*plant)(unsigned long), unsigned long bytes)
{
    char room[INNER];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(bytes);
    __asm__ volatile("" : : : "memory");
}

static __attribute__((noinline)) void
NAMED(_outer)(void (*plant)(unsigned long), unsigned long bytes)
{
    char room[OUTER];

    __asm__ volatile("" : : "r"(room) : "memory");
    NAMED(_inner)(plant, bytes);
    __asm__ volatile("" : : : "memory");
}
#endif

void
plugin_run(void (*plant)(unsigned long), unsigned long bytes)
{
    NAMED(_outer)(plant, bytes);
    __asm__ volatile("" : : : "memory");
}
