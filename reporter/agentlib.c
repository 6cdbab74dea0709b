/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * agentlib.c -- find the agent's library.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "reporter/agentlib.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reporter/locate.h"

/* Relative to the folder of the executable; glob patterns.  libtool runs
   built programs from a .libs below the folder where they were made. */
static const char *const beside[] = {
    "../agent/.libs", "../agent",      "agent/.libs",       "agent",
    ".libs",          "../../agent/.libs", "../.libs",
    "../lib/*/heapknot", "../lib/heapknot", "../lib64/heapknot"
};

static int
take(const char *candidate, char *path, size_t path_bytes)
{
    struct stat st;
    char *real;

    if (stat(candidate, &st) != 0 || !S_ISREG(st.st_mode))
        return -1;
    real = realpath(candidate, NULL);
    snprintf(path, path_bytes, "%s", real ? real : candidate);
    free(real);
    return 0;
}

static int
take_pattern(const char *pattern, char *path, size_t path_bytes)
{
    glob_t found;
    int result = -1;

    if (glob(pattern, 0, NULL, &found) != 0)
        return -1;
    for (size_t i = 0; i < found.gl_pathc && result != 0; i++)
        result = take(found.gl_pathv[i], path, path_bytes);
    globfree(&found);
    return result;
}

static int
find_beside(char *path, size_t path_bytes)
{
    char exe[LOCATE_PATH_BYTES], pattern[LOCATE_PATH_BYTES + 64];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash;

    if (n <= 0)
        return -1;
    exe[n] = '\0';
    slash = strrchr(exe, '/');
    if (!slash || strpbrk(exe, "*?[\\"))
        return -1;
    *slash = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(pattern, sizeof pattern, "%s/%s/%s", exe, beside[i],
                 LOCATE_AGENT_NAME);
        if (take_pattern(pattern, path, path_bytes) == 0)
            return 0;
    }
    return -1;
}

static int
find_anywhere(char *path, size_t path_bytes, char *why, size_t why_bytes)
{
    const char *named = getenv("HEAPKNOT_AGENT");

    if (named && *named) {
        if (take(named, path, path_bytes) == 0)
            return 0;
        snprintf(why, why_bytes, "HEAPKNOT_AGENT=%s is no file", named);
        return -1;
    }
    if (find_beside(path, path_bytes) == 0)
        return 0;
#ifdef PKGLIBDIR
    if (take(PKGLIBDIR "/" LOCATE_AGENT_NAME, path, path_bytes) == 0)
        return 0;
    snprintf(why, why_bytes,
             "cannot find %s, neither beside this program nor in %s; "
             "HEAPKNOT_AGENT may name it", LOCATE_AGENT_NAME, PKGLIBDIR);
#else
    snprintf(why, why_bytes,
             "cannot find %s beside this program; HEAPKNOT_AGENT may name it",
             LOCATE_AGENT_NAME);
#endif
    return -1;
}

int
agentlib_find(char *path, size_t path_bytes, char *why, size_t why_bytes)
{
    if (find_anywhere(path, path_bytes, why, why_bytes) != 0)
        return -1;
    if (access(path, R_OK) != 0) {
        snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (strpbrk(path, " :")) {
        snprintf(why, why_bytes,
                 "LD_PRELOAD cannot hold the path '%s': it contains a blank "
                 "or ':'", path);
        return -1;
    }
    return 0;
}
