/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.c -- counters out of the headers of recordings, without a reporter.
 *
 *      counters FILE... < NAMES
 *
 * For each FILE a line: the counters in the order of NAMES, then FILE.
 */
#include <stdio.h>
#include <string.h>

#include "format/recording.h"

static const char *const all[] = {
#define HK_COUNTER(name, kind, unit, text) #name,
#include "tbl/counters.h"
#undef HK_COUNTER
};
enum { ALL = sizeof all / sizeof all[0], WANTED = 32 };

static int
find(const char *name)
{
    for (int i = 0; i < ALL; i++)
        if (strcmp(all[i], name) == 0)
            return i;
    return -1;
}

static int
read_header(const char *path, struct hkr_header *header)
{
    FILE *file = fopen(path, "rb");
    int good = file && fread(header, sizeof *header, 1, file) == 1;

    if (file)
        fclose(file);
    return good;
}

int
main(int argc, char **argv)
{
    struct hkr_header header;
    int wanted[WANTED], count = 0;
    char name[64];

    while (count < WANTED && scanf("%63s", name) == 1)
        if ((wanted[count++] = find(name)) < 0) {
            fprintf(stderr, "no counter %s\n", name);
            return 2;
        }
    for (int i = 1; i < argc; i++) {
        if (!read_header(argv[i], &header)) {
            perror(argv[i]);
            return 1;
        }
        for (int k = 0; k < count; k++)
            printf("%llu ", (unsigned long long)header.counters[wanted[k]]);
        puts(argv[i]);
    }
    return 0;
}
