/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cxxhost.c -- a program in C that opens a plugin in C++ (cxx.cc).
 *
 *      cxxhost PLUGIN
 *
 * The C++ runtime arrives with the plugin.  A preloaded library that had
 * brought another unwinder into the global scope would now break exceptions.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
    int (*run)(void);
    void *plugin, *symbol;
    int result;

    if (argc < 2) {
        fprintf(stderr, "usage: cxxhost PLUGIN\n");
        return 2;
    }
    free(malloc(100));
    plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    symbol = plugin ? dlsym(plugin, "cxx_run") : NULL;
    if (!symbol) {
        printf("cxxhost: %s\n", dlerror());
        return 1;
    }
    memcpy(&run, &symbol, sizeof symbol);
    result = run();
    printf("plugin returned %d, closed %d\n", result, dlclose(plugin));
    return result;
}
