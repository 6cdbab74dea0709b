/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_lazy.c -- the plugin of unwind_jit.c, linked with -z lazy.
 */
void lazy_callee(void);
int lazy_chosen(int n);
void lazy_run(void (*callee)(void), void (*resolver)(void));

static void (*in_callee)(void), (*in_resolver)(void);

void
lazy_callee(void)
{
    in_callee();
    __asm__ volatile("" : : : "memory");
}

static int
one_way(int n)
{
    return n + 1;
}

static __attribute__((noinline, used)) int (*lazy_resolver(void))(int)
{
    in_resolver();
    __asm__ volatile("" : : : "memory");
    return one_way;
}

int lazy_chosen(int) __attribute__((ifunc("lazy_resolver")));

/* The first calls go through the loader. */
void
lazy_run(void (*callee)(void), void (*resolver)(void))
{
    in_callee = callee;
    in_resolver = resolver;
    lazy_callee();
    lazy_chosen(1);
    lazy_callee();
    __asm__ volatile("" : : : "memory");
}
