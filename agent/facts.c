/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * facts.c -- names and values of the table PROC.
 *
 * Called by   publish.c.
 * Threads     under lock_publish.
 * Memory      one static buffer.
 * Fails       a fact that cannot be had is left out.
 */
#include "agent/facts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/capture.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/real.h"
#include "agent/recfile.h"
#include "agent/say.h"
#include "heapknot.h"

#define COMMAND_BYTES 32768u

static char buf[COMMAND_BYTES];
static int has_build_id;

/* Both or neither: a name alone would shift all that follow. */
static void
write_fact(const char *name, const char *value)
{
    static char pair[COMMAND_BYTES + 64];
    size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;

    if (name_bytes + value_bytes > sizeof(pair))
        return;
    memcpy(pair, name, name_bytes);
    memcpy(pair + name_bytes, value, value_bytes);
    recfile_append(HKR_PROC, pair, name_bytes + value_bytes);
}

static void
write_number(const char *name, uint64_t number)
{
    char digits[24];

    say_format(digits, sizeof(digits), "%lu", number);
    write_fact(name, digits);
}

static void
write_command(void)
{
    long bytes = os_slurp("/proc/self/cmdline", buf, sizeof(buf));

    for (long at = 0; at < bytes; at += (long)strlen(buf + at) + 1)
        write_fact("command", buf + at);
}

static void
write_exe(void)
{
    long bytes = os_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe",
                         (long)buf, sizeof(buf) - 1, 0, 0);

    buf[bytes > 0 ? bytes : 0] = '\0';
    write_fact("exe", buf);
}

static void
write_cwd(void)
{
    long bytes = os_call(SYS_getcwd, (long)buf, sizeof(buf), 0, 0, 0, 0);

    if (bytes > 0)
        write_fact("cwd", buf);
}

static void
write_host(void)
{
    struct utsname u;

    if (os_call(SYS_uname, (long)&u, 0, 0, 0, 0, 0) == 0)
        write_fact("host", u.nodename);
}

static void
write_boot_id(void)
{
    if (os_slurp("/proc/sys/kernel/random/boot_id", buf, 64) <= 0)
        return;
    buf[strcspn(buf, "\n")] = '\0';
    write_fact("boot_id", buf);
}

void
facts_write(void)
{
    write_command();
    write_exe();
    write_number("pid", (uint64_t)os_getpid());
    write_number("ppid", (uint64_t)os_call(SYS_getppid, 0, 0, 0, 0, 0, 0));
    write_host();
    write_boot_id();
    write_cwd();
    write_fact("allocator", real_allocator_name());
    write_fact("options", options_text);
    write_fact("agent_version", HK_VERSION);
    write_fact("unwinder", capture_unwinder_name());
}

void
facts_write_build_id(void)
{
    const struct module *m;
    char hex[80];
    size_t n = 0;

    for (uint32_t id = 1; !has_build_id && id <= modules_count(); id++) {
        m = modules_get(id);
        if (!m || !(m->flags & HKR_MODULE_EXE) || m->build_id_bytes == 0 ||
            m->build_id_bytes > sizeof(m->build_id))
            continue;
        for (uint32_t i = 0; i < m->build_id_bytes; i++)
            n += say_format(hex + n, sizeof(hex) - n, "%x%x",
                            m->build_id[i] >> 4u, m->build_id[i] & 15u);
        write_fact("exe_build_id", hex);
        has_build_id = 1;
    }
}

void
facts_reset(void)
{
    has_build_id = 0;
}
