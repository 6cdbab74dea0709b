/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_why.c -- heapknot why [--json] [--top=N] FILE|PID TYPE|ADDRESS
 *
 * The agent of a live process is asked for a scan that answers; if it cannot,
 * or the process has ended, what the recording has will do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"
#include "reporter/control.h"
#include "reporter/locate.h"
#include "reporter/views.h"
#include "reporter/why.h"

#define TOP_DEFAULT 5
#define SECOND_NS UINT64_C(1000000000)
#define TIMEOUT_NS (60 * SECOND_NS)

/* Type names as a list for cli_nearest; malloc'd, or NULL. */
static const char **
type_names(const struct recording *rec)
{
    const char **names = calloc((size_t)rec->type_count + 1, sizeof *names);
    uint32_t n = 0;

    for (uint32_t i = 1; names && i < rec->type_count; i++)
        if (*recording_string(rec, rec->types[i].name))
            names[n++] = recording_string(rec, rec->types[i].name);
    return names;
}

static int
unknown_type(const struct recording *rec, const char *word)
{
    const char **names = type_names(rec);
    const char *near = names ? cli_nearest(word, names) : NULL;
    int code;

    if (near)
        code = cli_usage_error("why", "no type is called '%s': did you mean "
                               "'%s'?", word, near);
    else if (rec->type_count <= 1)
        code = cli_usage_error("why", "the program registers no types "
                               "(hk_type_register of heapknot.h)");
    else
        code = cli_usage_error("why", "no type is called '%s' (heapknot types "
                               "lists them; an address begins with 0x)",
                               word);
    free(names);
    return code;
}

/* Is it a question at all?  0, or an exit code after a line on stderr. */
static int
check_word(const struct recording *rec, const char *word)
{
    uint64_t address;

    if (why_is_address(word, &address) || why_type(rec, word))
        return 0;
    return unknown_type(rec, word);
}

/* What became of the question to the agent. */
struct asking {
    int answered;
    char problem[512]; /* why not, or "": there was nobody to ask */
};

static void
ask(const char *file, const char *word, struct asking *out)
{
    char path[LOCATE_PATH_BYTES], why[LOCATE_PATH_BYTES + 128];
    struct control c;

    if (cli_find_recording(file, path, sizeof path, why, sizeof why))
        return;
    if (control_open(&c, path, cli_pid(file), 1)) {
        snprintf(out->problem, sizeof out->problem, "%s", c.why);
        return;
    }
    out->answered = control_ask(&c, HKR_CMD_WHY, word, TIMEOUT_NS) == 0;
    if (!out->answered)
        snprintf(out->problem, sizeof out->problem, "%s", c.why);
    control_close(&c);
}

/* The types of which there is a census: " of session, hub". */
static void
list_censuses(const struct recording *rec, FILE *f)
{
    const char *gap = " of ";

    for (size_t i = 0; i < rec->census_count; i++)
        if (census_of(rec, rec->censuses[i].head.type)
            == &rec->censuses[i]) {
            fprintf(f, "%s%s", gap,
                    recording_type_name(rec, rec->censuses[i].head.type));
            gap = ", ";
        }
    if (*gap == ' ')
        fputs(" of no type", f);
}

/* One line: why, or what to do instead. */
static int
not_there(const struct view *view, enum why_result result, const char *word,
          const struct asking *asking)
{
    char *list = NULL;
    size_t size;
    FILE *f = asking->problem[0] ? NULL : open_memstream(&list, &size);

    if (asking->problem[0]) {
        cli_error("why", "%s", asking->problem);
        return HK_EXIT_UNREADABLE;
    }
    if (f) {
        list_censuses(view->rec, f);
        fclose(f);
    }
    cli_error("why", "%s %s: the recording says who holds the objects%s; %s",
              result == WHY_NO_PATH ? "no path to" : "nothing about", word,
              list ? list : " of some types",
              asking->answered ? "the scan for this question found nothing"
                               : "ask while the process runs");
    free(list);
    return HK_EXIT_UNREADABLE;
}

static int
answer(const struct arguments *args, const struct asking *asking)
{
    struct text_out out;
    struct view view;
    struct why why;
    enum why_result result;
    int code = view_open(args->files[0], &view);

    if (code)
        return code;
    result = why_find(&view, args->files[1], &why);
    why.asked = asking->answered;
    if (result == WHY_FOUND && asking->problem[0])
        cli_error("why", "from the recording, since %s", asking->problem);
    if (result != WHY_FOUND) {
        code = not_there(&view, result, args->files[1], asking);
    } else if (args->json) {
        json_why(&why, stdout);
    } else {
        out = text_to(stdout, args->top ? args->top : TOP_DEFAULT,
                      args->files[0]);
        text_why(&why, &out);
    }
    view_free(&view);
    return code;
}

int
cmd_why(int argc, char **argv)
{
    struct arguments args;
    struct asking asking = {0};
    struct recording *rec;
    int live, code = arguments_parse(argc, argv, ARGUMENT_JSON | ARGUMENT_TOP,
                                     2, &args);

    if (code)
        return code < 0 ? HK_EXIT_CLEAN : code;
    if (args.file_count < 2)
        return cli_usage_error("why", "which type, or which address?");
    code = cli_open_recording(args.files[0], &rec);
    if (code)
        return code;
    live = recording_is_live(rec);
    code = check_word(rec, args.files[1]);
    recording_close(rec);
    if (code)
        return code;
    if (live || cli_pid(args.files[0]))
        ask(args.files[0], args.files[1], &asking);
    return views_finish("why", answer(&args, &asking));
}
