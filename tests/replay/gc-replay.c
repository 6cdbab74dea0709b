/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gc-replay FILE -- does the collector what CPython's did?  Runs the scenarios
 * of a file (vector.h) and prints TAP, one test a scenario, with the first
 * difference of each that fails.  Exit status: 0 all are equal, 1 not, 2 the
 * file is none.
 */
#include "tests/replay/compare.h"
#include "tests/replay/vector.h"
#include "tests/replay/world.h"

#include "tests/tap/tap.h"

struct verdict {
    const struct vector_scenario *s;
    int failed;
    char why[300];
};

static void
on_step(size_t step, struct vector_step *seen, void *arg)
{
    struct verdict *v = arg;
    char why[240];

    if (v->failed)
        return;
    if (compare_step(&v->s->steps[step], seen, why, sizeof(why)))
        return;
    v->failed = 1;
    snprintf(v->why, sizeof(v->why), "step %zu, %s: %s", step,
             v->s->steps[step].op, why);
}

static void
describe(const struct vector_scenario *s, char *text, size_t size)
{
    int n = snprintf(text, size, "%zu nodes, %zu edges", s->node_count,
                     s->edge_count);

    if (s->seed >= 0)
        snprintf(text + n, size - (size_t)n, ", seed %lld", s->seed);
}

static void
run_scenario(const struct vector_scenario *s)
{
    struct verdict v = {.s = s};
    const char *mistake;
    char text[120];

    world_run(s, on_step, &v);
    mistake = world_mistake();
    describe(s, text, sizeof(text));
    ok(!v.failed && !mistake, "%s", text);
    if (v.failed)
        diag("%s", v.why);
    if (mistake)
        diag("a mistake was reported: %s", mistake);
}

int
main(int argc, char **argv)
{
    struct vector_file file = {0};

    if (argc != 2) {
        fprintf(stderr, "usage: gc-replay FILE\n");
        return 2;
    }
    vector_read(argv[1], &file);
    world_start();
    plan((int)file.count);
    for (size_t i = 0; i < file.count; i++)
        run_scenario(&file.scenarios[i]);
    world_end();
    vector_free(&file);
    return done_testing();
}
