/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cxx.cc -- C++ under an agent that is not: operators and exceptions.
 *
 * A program of its own, and with -DCXX_PLUGIN the plugin of cxxhost.c, a
 * program in C that has no C++ runtime before it opens this.  All forms of new
 * and delete; exceptions thrown through many frames by 8 threads at once;
 * bad_alloc; containers.  Prints what went right.
 */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern "C" int cxx_run(void);

namespace {

constexpr int threads = 8, throws = 300, depth = 25;

struct alignas(256) Wide {
    char bytes[256];
};

std::atomic<long> alive{0};

struct Counted {
    std::string text;
    explicit Counted(int n) : text(40, static_cast<char>('a' + n % 26))
    {
        ++alive;
    }
    ~Counted() { --alive; }
    Counted(const Counted &) = delete;
    Counted &operator=(const Counted &) = delete;
};

struct Failing {
    char bytes[1000];
    Failing() { throw std::runtime_error("constructor"); }
};

bool
is_aligned(const void *p, std::size_t alignment)
{
    return p && reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

template <class T>
T *
opaque(T *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

bool
operators()
{
    bool good = true;
    const auto wide = std::align_val_t(256);

    for (std::size_t n = 0; n < 3000; n += 131) {
        void *a = opaque(::operator new(n));
        void *b = opaque(::operator new[](n));
        void *c = opaque(::operator new(n, std::nothrow));
        void *d = opaque(::operator new[](n, std::nothrow));
        void *e = opaque(::operator new(n, wide));
        void *f = opaque(::operator new[](n, wide));
        void *g = opaque(::operator new(n, wide, std::nothrow));
        void *h = opaque(::operator new[](n, wide, std::nothrow));

        good = good && a && b && c && d && a != b && is_aligned(e, 256) &&
               is_aligned(f, 256) && is_aligned(g, 256) && is_aligned(h, 256);
        ::operator delete(a);
        ::operator delete[](b);
        ::operator delete(c, std::nothrow);
        ::operator delete[](d, std::nothrow);
        ::operator delete(e, wide);
        ::operator delete[](f, wide);
        ::operator delete(g, wide, std::nothrow);
        ::operator delete[](h, n, wide);
        ::operator delete(opaque(::operator new(n)), n);
        ::operator delete[](opaque(::operator new[](n)), n);
        ::operator delete(opaque(::operator new(n, wide)), n, wide);
    }
    ::operator delete(nullptr);
    delete opaque(new Wide);
    delete[] opaque(new Wide[7]);
    delete[] opaque(new std::string[50]);
    return good;
}

bool
out_of_memory()
{
    volatile std::size_t much = SIZE_MAX / 2 - 4096;
    int caught = 0;

    try {
        ::operator delete(opaque(::operator new(much)));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    try {
        ::operator delete[](
            opaque(::operator new[](much, std::align_val_t(64))),
            std::align_val_t(64));
    } catch (const std::bad_alloc &) {
        caught++;
    }
    return caught == 2 && ::operator new(much, std::nothrow) == nullptr;
}

/* What a constructor that throws had allocated is freed by the runtime. */
bool
failing_constructors()
{
    int caught = 0;

    for (int i = 0; i < 100; i++)
        try {
            opaque(new Failing);
        } catch (const std::runtime_error &) {
            caught++;
        }
    return caught == 100;
}

__attribute__((noinline)) int
dive(int n, int serial)
{
    Counted here(n);
    auto there = std::make_unique<Counted>(serial);
    int result;

    if (n == 0)
        throw std::runtime_error("from below " + std::to_string(serial));
    result = dive(n - 1, serial);
    __asm__ volatile("" : "+r"(result) : "r"(&here) : "memory");
    return result + static_cast<int>(there->text.size());
}

int
throw_many(int which)
{
    int caught = 0;

    for (int i = 0; i < throws; i++)
        try {
            dive(depth, which * throws + i);
        } catch (const std::exception &e) {
            const std::string expected =
                "from below " + std::to_string(which * throws + i);

            caught += expected == e.what();
        }
    return caught;
}

int
exceptions()
{
    std::vector<std::thread> running;
    std::atomic<int> caught{0};

    for (int t = 0; t < threads; t++)
        running.emplace_back([t, &caught] { caught += throw_many(t); });
    for (auto &thread : running)
        thread.join();
    return caught;
}

std::size_t
containers()
{
    std::map<std::string, std::vector<int>> map;

    for (int i = 0; i < 2000; i++)
        map["key " + std::to_string(i % 300)].push_back(i);
    for (int i = 0; i < 300; i += 2)
        map.erase("key " + std::to_string(i));
    return map.size();
}

} /* namespace */

extern "C" int
cxx_run(void)
{
    int caught;

    std::printf("operators: %s\n", operators() ? "good" : "bad");
    std::printf("out of memory: %s\n", out_of_memory() ? "good" : "bad");
    std::printf("failing constructors: %s\n",
                failing_constructors() ? "good" : "bad");
    caught = exceptions();
    std::printf("exceptions caught: %d of %d, objects left: %ld\n", caught,
                threads * throws, alive.load());
    std::printf("containers: %zu\n", containers());
    return caught == threads * throws && alive == 0 ? 0 : 1;
}

#ifndef CXX_PLUGIN
int
main()
{
    return cxx_run();
}
#endif
