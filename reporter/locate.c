/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * locate.c -- reads /proc/PID/maps.
 *
 * A line is "start-end perms offset dev inode    path"; the path may hold
 * blanks and ends the line, with " (deleted)" behind it if so.
 */
#include "reporter/locate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/recording.h"

struct mapping {
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    int is_shared;
    const char *path;
};

/* Returns 1 to stop, with the answer taken from the mapping. */
typedef int (*match_fn)(int pid, const struct mapping *map, char *path,
                        size_t path_bytes);

int
locate_is_recording(const char *path)
{
    char magic[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;

    if (fd < 0)
        return 0;
    n = pread(fd, magic, sizeof magic, 0);
    close(fd);
    return n == (ssize_t)sizeof magic && memcmp(magic, HKR_MAGIC, 8) == 0;
}

static int
parse_mapping(char *line, struct mapping *map)
{
    char perms[5];
    int path_at = 0;

    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &map->start, &map->end,
               perms, &map->offset, &map->major, &map->minor, &map->inode,
               &path_at) < 7
        || path_at == 0)
        return 0;
    map->is_shared = perms[3] == 's';
    map->path = line + path_at;
    return map->path[0] == '/';
}

static enum locate_result
search_maps(int pid, match_fn match, char *path, size_t path_bytes)
{
    char name[64];
    char *line = NULL;
    size_t size = 0;
    FILE *f;
    struct mapping map;
    enum locate_result result = LOCATE_NONE;

    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    f = fopen(name, "re");
    if (!f)
        return errno == EACCES || errno == EPERM ? LOCATE_DENIED
                                                 : LOCATE_NO_PROCESS;
    while (result == LOCATE_NONE && getline(&line, &size, f) > 0) {
        if (parse_mapping(line, &map) && match(pid, &map, path, path_bytes))
            result = LOCATE_FOUND;
    }
    if (ferror(f))
        result = LOCATE_DENIED;
    free(line);
    fclose(f);
    return result;
}

/* The inode decides whether a path means the mapped file, not the device:
   device numbers of some file systems differ between maps and stat.  (deleted)
   at the end of a path makes it another file anyway. */
static int
is_mapped_recording(const char *candidate, const struct mapping *map)
{
    struct stat st;

    return stat(candidate, &st) == 0 && S_ISREG(st.st_mode)
        && (unsigned long)st.st_ino == map->inode
        && locate_is_recording(candidate);
}

static int
match_recording(int pid, const struct mapping *map, char *path,
                size_t path_bytes)
{
    if (!map->is_shared || map->offset != 0)
        return 0;
    snprintf(path, path_bytes, "%s", map->path);
    if (is_mapped_recording(path, map))
        return 1;
    snprintf(path, path_bytes, "/proc/%d/root%s", pid, map->path);
    if (is_mapped_recording(path, map))
        return 1;
    snprintf(path, path_bytes, "/proc/%d/map_files/%lx-%lx", pid, map->start,
             map->end);
    return is_mapped_recording(path, map);
}

enum locate_result
locate_recording(int pid, char *path, size_t path_bytes)
{
    return search_maps(pid, match_recording, path, path_bytes);
}

static int
match_agent(int pid, const struct mapping *map, char *path, size_t path_bytes)
{
    const char *base = strrchr(map->path, '/') + 1;

    (void)pid;
    if (strncmp(base, LOCATE_AGENT_NAME, strlen(LOCATE_AGENT_NAME)) != 0)
        return 0;
    snprintf(path, path_bytes, "%s", map->path);
    return 1;
}

enum locate_result
locate_mapped_agent(int pid, char *path, size_t path_bytes)
{
    return search_maps(pid, match_agent, path, path_bytes);
}
