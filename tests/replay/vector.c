/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * vector.c -- reads a file of scenarios, and distrusts it.
 *
 * Called by   gc-replay.c; lists also by world.c and compare.c.
 * Memory      malloc; vector_free() gives it back.
 * Fails       one line on stderr that says where, and exit with status 2.
 */
#include "tests/replay/vector.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_INPUT 2
#define GENERATIONS 3

/* What is being read, for messages. */
static const char *file_name;
static long scenario_now, step_now; /* -1: none */

/* ---- complaints --------------------------------------------------------- */

__attribute__((noreturn, format(printf, 1, 2))) static void
bad(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "gc-replay: %s: ", file_name);
    if (scenario_now >= 0)
        fprintf(stderr, "scenario %ld: ", scenario_now);
    if (step_now >= 0)
        fprintf(stderr, "step %ld: ", step_now);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(BAD_INPUT);
}

void *
vector_calloc(size_t count, size_t bytes)
{
    void *p = calloc(count ? count : 1, bytes);

    if (!p) {
        fprintf(stderr, "gc-replay: out of memory\n");
        exit(BAD_INPUT);
    }
    return p;
}

/* ---- lists -------------------------------------------------------------- */

struct vector_item *
vector_append(struct vector_list *list, int a, int b, int c)
{
    struct vector_item item = {a, b, c, 0};

    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 16;
        list->items = realloc(list->items, list->room * sizeof(item));
        if (!list->items) {
            fprintf(stderr, "gc-replay: out of memory\n");
            exit(BAD_INPUT);
        }
    }
    list->items[list->count] = item;
    return &list->items[list->count++];
}

static int
compare_items(const void *left, const void *right)
{
    const struct vector_item *x = left, *y = right;

    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    if (x->b != y->b)
        return x->b < y->b ? -1 : 1;
    return (x->c > y->c) - (x->c < y->c);
}

void
vector_sort(struct vector_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(*list->items), compare_items);
}

/* ---- values ------------------------------------------------------------- */

static json_t *
member(json_t *object, const char *key, json_type type)
{
    json_t *value;

    if (!json_is_object(object))
        bad("an object was expected around \"%s\"", key);
    value = json_object_get(object, key);
    if (!value)
        bad("\"%s\" is missing", key);
    if (json_typeof(value) != type)
        bad("\"%s\" has the wrong type", key);
    return value;
}

static int
number(const json_t *value, long long below, const char *what)
{
    long long n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || n >= below)
        bad("%s: a number from 0 to %lld was expected", what, below - 1);
    return (int)n;
}

static int
flag(const json_t *value, const char *what)
{
    if (!json_is_boolean(value))
        bad("%s: true or false was expected", what);
    return json_is_true(value);
}

/* An array of numbers below a limit; its length goes to *count. */
static int *
numbers(json_t *object, const char *key, long long below, size_t *count)
{
    json_t *array = member(object, key, JSON_ARRAY), *value;
    int *result = vector_calloc(json_array_size(array), sizeof(int));
    size_t i;

    *count = json_array_size(array);
    json_array_foreach(array, i, value)
        result[i] = number(value, below, key);
    return result;
}

/* ---- a scenario --------------------------------------------------------- */

static enum vector_fin
finalizer(json_t *node)
{
    static const char *const names[] = {"none", "log", "resurrect", "suicide",
                                        "raise"};
    const char *name = json_string_value(member(node, "fin", JSON_STRING));

    for (int i = 0; i <= FIN_RAISE; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum vector_fin)i;
    bad("no finalizer is called \"%s\"", name);
}

static void
read_nodes(json_t *object, struct vector_scenario *s)
{
    json_t *array = member(object, "nodes", JSON_ARRAY), *node;
    size_t i;

    s->node_count = json_array_size(array);
    s->nodes = vector_calloc(s->node_count, sizeof(*s->nodes));
    json_array_foreach(array, i, node)
    {
        s->nodes[i].name = number(member(node, "name", JSON_INTEGER),
                                  1000000000, "name");
        s->nodes[i].fin = finalizer(node);
    }
}

static void
read_edges(json_t *object, struct vector_scenario *s)
{
    json_t *array = member(object, "edges", JSON_ARRAY), *edge;
    long long nodes = (long long)s->node_count;
    size_t i;

    s->edge_count = json_array_size(array);
    s->edges = vector_calloc(s->edge_count, sizeof(*s->edges));
    json_array_foreach(array, i, edge)
    {
        if (json_array_size(edge) != 3)
            bad("edge %zu is not [from, slot, to]", i);
        s->edges[i].from = number(json_array_get(edge, 0), nodes, "edges");
        s->edges[i].slot = number(json_array_get(edge, 1), VECTOR_SLOTS,
                                  "slot of an edge");
        s->edges[i].to = number(json_array_get(edge, 2), nodes, "edges");
    }
}

static void
read_weak(json_t *object, struct vector_scenario *s)
{
    json_t *array = member(object, "weak", JSON_ARRAY), *weak;
    size_t i;

    s->weak_count = json_array_size(array);
    s->weak = vector_calloc(s->weak_count, sizeof(*s->weak));
    json_array_foreach(array, i, weak)
    {
        s->weak[i].target = number(member(weak, "target", JSON_INTEGER),
                                   (long long)s->node_count, "target");
        s->weak[i].has_callback = flag(json_object_get(weak, "cb"), "cb");
    }
}

/* ---- a step ------------------------------------------------------------- */

static void
read_event(const json_t *event, struct vector_list *log)
{
    const char *kind = json_string_value(json_array_get(event, 0));
    json_t *subject = json_array_get(event, 1);
    const char *text = json_string_value(subject);

    if (kind && strcmp(kind, "fin") == 0)
        vector_append(log, EVENT_FIN, number(subject, 1000000000, "fin"), 0);
    else if (kind && strcmp(kind, "wrcb") == 0)
        vector_append(log, EVENT_CALLBACK,
                      number(subject, 1000000000, "wrcb"),
                      flag(json_array_get(event, 2), "wrcb"));
    else if (kind && strcmp(kind, "unraisable") == 0 && text
             && strcmp(text, "RuntimeError") == 0)
        vector_append(log, EVENT_UNRAISABLE, 0, 0);
    else
        bad("\"log\" has an event that is not known");
}

static void
read_alive(json_t *object, struct vector_list *alive)
{
    json_t *array = member(object, "alive_gen", JSON_ARRAY), *pair;
    size_t i;

    json_array_foreach(array, i, pair)
        vector_append(alive,
                      number(json_array_get(pair, 0), 1000000000, "alive_gen"),
                      number(json_array_get(pair, 1), GENERATIONS,
                             "generation of alive_gen"), 0);
}

static void
read_lists(json_t *object, struct vector_step *step)
{
    json_t *array = member(object, "log", JSON_ARRAY), *value;
    size_t i;

    json_array_foreach(array, i, value)
        read_event(value, &step->log);
    read_alive(object, &step->alive);
    array = member(object, "weak_dead", JSON_ARRAY);
    json_array_foreach(array, i, value)
        vector_append(&step->weak_dead, (int)i, flag(value, "weak_dead"), 0);
    array = member(object, "resurrected", JSON_ARRAY);
    json_array_foreach(array, i, value)
        vector_append(&step->resurrected,
                      number(value, 1000000000, "resurrected"), 0, 0);
}

static void
read_step(json_t *object, struct vector_step *step)
{
    const json_t *result;

    step->op = json_string_value(member(object, "op", JSON_STRING));
    result = json_object_get(object, "ret");
    if (!json_is_integer(result) && !json_is_null(result))
        bad("\"ret\" is neither a number nor null");
    step->has_result = json_is_integer(result);
    step->result = json_integer_value(result);
    read_lists(object, step);
    vector_sort(&step->log);
    vector_sort(&step->alive);
    vector_sort(&step->resurrected);
}

/* drop, ops, drop-resurrected, collect, drop-roots, collect */
static void
check_step(const struct vector_scenario *s, size_t i)
{
    static const char *const last[] = {"drop-resurrected", "collect(2)",
                                       "drop-roots", "collect(2)"};
    char due[40];

    if (i == 0)
        snprintf(due, sizeof(due), "drop");
    else if (i <= s->op_count)
        snprintf(due, sizeof(due), "collect(%d)", s->ops[i - 1]);
    else
        snprintf(due, sizeof(due), "%s", last[i - s->op_count - 1]);
    if (strcmp(s->steps[i].op, due) != 0)
        bad("op is \"%s\", but \"%s\" is due", s->steps[i].op, due);
}

static void
read_steps(json_t *object, struct vector_scenario *s)
{
    json_t *array = member(object, "expect", JSON_ARRAY), *step;
    size_t i;

    s->step_count = json_array_size(array);
    if (s->step_count != s->op_count + 5)
        bad("\"expect\" has %zu steps, but there are %zu", s->step_count,
            s->op_count + 5);
    s->steps = vector_calloc(s->step_count, sizeof(*s->steps));
    json_array_foreach(array, i, step)
    {
        step_now = (long)i;
        read_step(step, &s->steps[i]);
        check_step(s, i);
    }
    step_now = -1;
}

static void
read_scenario(json_t *object, struct vector_scenario *s)
{
    const json_t *seed = json_is_object(object)
                             ? json_object_get(object, "seed") : NULL;

    s->seed = json_is_integer(seed) ? json_integer_value(seed) : -1;
    read_nodes(object, s);
    read_edges(object, s);
    read_weak(object, s);
    s->age = numbers(object, "age", GENERATIONS, &s->age_count);
    s->ops = numbers(object, "ops", GENERATIONS, &s->op_count);
    s->roots = numbers(object, "roots", (long long)s->node_count,
                       &s->root_count);
    read_steps(object, s);
}

/* ---- the file ----------------------------------------------------------- */

void
vector_read(const char *path, struct vector_file *file)
{
    json_t *array, *scenario;
    json_error_t error;
    size_t i;

    file_name = path;
    scenario_now = step_now = -1;
    file->document = json_load_file(path, 0, &error);
    if (!file->document && error.line > 0)
        bad("line %d: %s", error.line, error.text);
    if (!file->document)
        bad("%s", error.text);
    array = member(file->document, "scenarios", JSON_ARRAY);
    file->count = json_array_size(array);
    if (file->count == 0)
        bad("no scenarios");
    file->scenarios = vector_calloc(file->count, sizeof(*file->scenarios));
    json_array_foreach(array, i, scenario)
    {
        scenario_now = (long)i;
        read_scenario(scenario, &file->scenarios[i]);
    }
}

static void
free_scenario(struct vector_scenario *s)
{
    for (size_t i = 0; i < s->step_count; i++) {
        free(s->steps[i].log.items);
        free(s->steps[i].alive.items);
        free(s->steps[i].weak_dead.items);
        free(s->steps[i].resurrected.items);
    }
    free(s->steps);
    free(s->nodes);
    free(s->edges);
    free(s->weak);
    free(s->age);
    free(s->roots);
    free(s->ops);
}

void
vector_free(struct vector_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free_scenario(&file->scenarios[i]);
    free(file->scenarios);
    json_decref(file->document);
}
