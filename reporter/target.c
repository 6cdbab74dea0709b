/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * target.c -- reads the first bytes of an executable.
 */
#include "reporter/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_DEPTH 4 /* what the kernel follows */

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_NONE
#endif

static int
try_path(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == ENOTDIR ? ENOENT : errno;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        return EACCES;
    return 0;
}

int
target_find(const char *command, char *path, size_t path_bytes)
{
    const char *dirs = getenv("PATH");
    int result = ENOENT;

    if (strchr(command, '/') || !*command) {
        snprintf(path, path_bytes, "%s", command);
        return *command ? try_path(path) : ENOENT;
    }
    if (!dirs)
        dirs = "/bin:/usr/bin";
    for (;;) {
        size_t n = strcspn(dirs, ":");
        int error;

        snprintf(path, path_bytes, "%.*s%s%s", (int)n, dirs, n ? "/" : "",
                 command);
        error = try_path(path);
        if (error == 0)
            return 0;
        if (error == EACCES)
            result = EACCES; /* remembered, as execvp does */
        if (!dirs[n])
            return result;
        dirs += n + 1;
    }
}

/* AT_SECURE makes the loader ignore LD_PRELOAD. */
static int
raises_privilege(int fd, const char **why)
{
    struct stat st;
    char caps[64];

    *why = NULL;
    if (fstat(fd, &st) != 0)
        return 0;
    if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
        *why = "it is setuid";
    else if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)
             && st.st_gid != getgid())
        *why = "it is setgid";
    else if (getuid() != 0
             && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0)
        *why = "it has file capabilities";
    return *why != NULL;
}

/* 1: there is an interpreter, 0: there is none, -1: cannot tell. */
static int
has_interpreter(int fd, const Elf64_Ehdr *header)
{
    for (int i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr phdr;
        off_t at = (off_t)(header->e_phoff + (Elf64_Off)i * sizeof phdr);

        if (pread(fd, &phdr, sizeof phdr, at) != (ssize_t)sizeof phdr)
            return -1;
        if (phdr.p_type == PT_INTERP)
            return 1;
    }
    return 0;
}

static const char *
elf_obstacle(int fd, const Elf64_Ehdr *header)
{
    const unsigned char *id = header->e_ident;

    if (id[EI_CLASS] != ELFCLASS64 || header->e_machine != OWN_MACHINE)
        return "it is for another kind of processor than the agent";
    if (header->e_phentsize != sizeof(Elf64_Phdr))
        return NULL;
    return has_interpreter(fd, header) == 0 ? "it is statically linked" : NULL;
}

/* "#!  /bin/sh -e": the path, cut out of the line. */
static const char *
script_interpreter(char *line)
{
    char *start = line + 2 + strspn(line + 2, " \t");

    start[strcspn(start, " \t\r\n")] = '\0';
    return *start ? start : NULL;
}

static int
obstacle_at(const char *path, int depth, char *why, size_t why_bytes)
{
    union {
        Elf64_Ehdr elf;
        char line[256];
    } head;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;
    const char *reason = NULL, *interpreter;

    memset(&head, 0, sizeof head);
    if (fd < 0)
        return 0; /* executable but not readable: nothing can be said */
    n = pread(fd, &head, sizeof head - 1, 0);
    if (n >= 2 && memcmp(head.line, "#!", 2) == 0 && depth < SCRIPT_DEPTH) {
        close(fd);
        interpreter = script_interpreter(head.line);
        return interpreter
            && obstacle_at(interpreter, depth + 1, why, why_bytes);
    }
    if (n >= (ssize_t)sizeof head.elf
        && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
        reason = elf_obstacle(fd, &head.elf);
    if (!reason)
        raises_privilege(fd, &reason);
    close(fd);
    if (!reason)
        return 0;
    snprintf(why, why_bytes, "%s", reason);
    return 1;
}

int
target_obstacle(const char *path, char *why, size_t why_bytes)
{
    return obstacle_at(path, 0, why, why_bytes);
}
