#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# unwind.t -- make check-unwind: real programs for minutes, every stack compared
# with libunwind's (verify=unwind).  Holds if none of at least ten million
# differs.
#
#	tests/long/unwind.t [WORKLOAD...]
#
# AT_LEAST=N asks for another number than 10,000,000; PYTHON=FILE for an
# interpreter that has the package test.
# shellcheck disable=SC2317 # functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/../scenario/scenario.sh"
need jq perl
need_victims unwind_{coroutines,throw,twins,jumps,dl} unwind_plugin_{a,b}.so
PATH=$PATH:/usr/sbin:/sbin
AT_LEAST=${AT_LEAST:-10000000}
total_verified=0 total_slow=0 total_mismatches=0

RECORDINGS=$TMP/recordings
under=("$HEAPKNOT" run --verify=unwind --max-file=64MiB
    -o "$RECORDINGS/%e.%p.%n.hk" --)

# sum_up: verified, slow, mismatches, truncated, and the processes.  A report of
# so many stacks would take its time.
build_helper counters -I"$TOP"
sum_up() {
    echo verified_captures slow_captures unwind_mismatches truncated_stacks |
        "$HELPERS/counters" "$RECORDINGS"/*.hk |
        awk '{ v += $1; s += $2; m += $3; t += $4; n++
            if ($3) print $3, "differ in", $5 > "/dev/stderr" }
            END { print v + 0, s + 0, m + 0, t + 0, n + 0 }'
}

# load NAME FUNCTION: what the function prints is shown when it fails.
load() {
    local name=$1 function=$2 start=$SECONDS verified slow wrong cut processes
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " = *" $function "* ]] || return
    fresh_folder "$RECORDINGS"
    fresh_folder "$WORK"
    ok "$name: does its work" in_work "$function"
    read -r verified slow wrong cut processes < <(sum_up 2>"$TMP/differs")
    diag <"$TMP/differs"
    diag "$(printf '%-22s %10d compared %8d slow %6d cut %3d processes %4d s' \
        "$function" "$verified" "$slow" "$cut" "$processes" \
        $((SECONDS - start)))"
    ok "$name: stacks were compared" [ "$verified" -gt 0 ]
    is_int 0 "$wrong" "$name: none of them differs"
    total_verified=$((total_verified + verified))
    total_slow=$((total_slow + slow))
    total_mismatches=$((total_mismatches + wrong))
}

# A server that is left behind ends with the subshell.
in_work() {
    (
        server=
        trap '[ -z "$server" ] || kill "$server"' EXIT
        cd "$WORK" && "$1"
    )
}

end_server() { # SIGNAL
    local status=0
    kill "-$1" "$server" || return 1
    wait "$server" || status=$?
    server=
    [ "$status" -eq 0 ]
}

# ---- workloads --------------------------------------------------------------

redis() {
    local port
    port=$(free_port)
    "${under[@]}" redis-server --save "" --port "$port" --bind 127.0.0.1 \
        >log 2>&1 &
    server=$!
    wait_until 10 redis-cli -p "$port" ping || return 1
    redis-benchmark -p "$port" -n 200000 -r 100000 -P 16 -q \
        -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100
    redis-cli -p "$port" eval 'local t = {} for i = 1, 100000 do
        t[i] = tostring(i) .. "x" end return #table.concat(t)' 0
    end_server TERM
}

nginx_server() {
    local port user=
    port=$(free_port)
    ! is_root || user='user root;'
    mkdir files
    seq 20000 >files/big.txt
    seq 10 >files/small.txt
    cat >nginx.conf <<END
$user
worker_processes 2;
daemon off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 256; }
http {
    access_log off;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 10;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:$port;
        root files;
        log_not_found off;
        location /to/ { proxy_pass http://127.0.0.1:$port/; }
    }
}
END
    "${under[@]}" nginx -p "$PWD" -c nginx.conf -e error.log &
    server=$!
    wait_until 10 nginx_answers "$port" || return 1
    nginx_clients "$port" 6000 || return 1
    end_server QUIT
}

nginx_answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

nginx_clients() { # PORT REQUESTS-OF-EACH
    perl -MIO::Socket::INET -e '
        my ($port, $n) = @ARGV;
        my @paths = qw(/big.txt /small.txt /none /to/small.txt /to/none);
        for my $child (1 .. 4) {
            next if fork;
            for my $i (1 .. $n) {
                my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1",
                    PeerPort => $port) or die "connect: $!";
                my $gzip = $i % 2 ? "Accept-Encoding: gzip\r\n" : "";
                print $s "GET $paths[$i % 5] HTTP/1.0\r\n$gzip\r\n";
                local $/;
                <$s> =~ m{^HTTP/1.1 (200|404)} or die;
            }
            exit 0;
        }
        my $bad = 0;
        while (wait > 0) { $bad++ if $? }
        exit($bad ? 1 : 0);' "$@"
}

sqlite() {
    cat >script.sql <<'END'
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c REAL);
CREATE INDEX t_a ON t(a);
CREATE INDEX t_bc ON t(b, c);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO t SELECT i, 'row ' || (i * 7919 % 10007), i % 997, i / 7.0 FROM n;
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO words SELECT a || ' ' || b || ' some more words' FROM t
    WHERE id < 20000;
SELECT count(*) FROM words WHERE words MATCH 'row AND more';
SELECT b, count(*), group_concat(a), json_group_array(c) FROM t
    GROUP BY b ORDER BY 2 DESC LIMIT 3;
SELECT count(DISTINCT x.a) FROM t x JOIN t y ON x.a = y.a WHERE x.b < 100;
SELECT sum(json_extract(json_object('k', b, 'l', json_array(a, c)), '$.k'))
    FROM t;
SELECT max(length(printf('%s %08d %.3f', a, b, c))) FROM t;
UPDATE t SET a = upper(a), c = c * 2 WHERE b % 3 = 0;
DELETE FROM t WHERE b % 7 = 0;
PRAGMA integrity_check;
VACUUM;
END
    perl -e 'for (1 .. 20000) {
        printf "SELECT a, %d + b FROM t WHERE id = %d AND c > %d.5;\n",
            $_, $_ * 3, $_ % 9 }' >>script.sql
    "${under[@]}" sqlite3 file.db <script.sql >out && grep -qx ok out
}

# No header of ours: what every compiler of C++ has.
cxx() {
    cat >large.cc <<'END'
#include <algorithm>
#include <filesystem>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <random>
#include <ranges>
#include <regex>
#include <sstream>
#include <unordered_map>
#include <variant>
template <int N> struct sum { static constexpr long v = N + sum<N - 1>::v; };
template <> struct sum<0> { static constexpr long v = 0; };
template <int N> int work(const std::string &text)
{
    std::map<std::string, std::vector<std::variant<int, std::string>>> m;
    std::regex word("[a-z]+" + std::to_string(N));
    for (std::sregex_iterator i(text.begin(), text.end(), word), e; i != e; ++i)
        m[i->str()].push_back(N);
    std::unordered_map<int, std::function<int(int)>> f;
    f[N] = [&](int x) { return x + int(m.size() + sum<N % 300 + 300>::v); };
    std::ostringstream out;
    for (auto &[k, v] : m)
        out << k << v.size();
    return f[N](N) + int(out.str().size());
}
#define W(n) work<n>("a") + work<n + 1>("b") + work<n + 2>("c")
int use()
{
    return W(0) + W(10) + W(20) + W(30) + W(40) + W(50) + W(60) + W(70);
}
END
    "${under[@]}" g++ -std=c++20 -O2 -g -c large.cc -o large.o
}

# An interpreter with CPython's own tests; a shim is no interpreter.
find_python() {
    local python
    for python in "${PYTHON:-}" python3 /usr/bin/python3; do
        python=$("$python" -c 'import sys, test.test_json, test.test_set
print(sys.executable)' 2>/dev/null) && echo "$python" && return
    done
    return 1
}

# Of CPython's tests those that need nothing but the interpreter.
python_modules='test_abc test_array test_ast test_base64 test_bigmem test_binop
test_bisect test_bool test_bytes test_calendar test_cmath test_codeccallbacks
test_collections test_complex test_contains test_contextlib test_copy
test_coroutines test_csv test_dataclasses test_decimal test_decorators
test_defaultdict test_deque test_descr test_dict test_dictviews test_difflib
test_enum test_enumerate test_except_star test_exceptions
test_float test_format test_fractions test_fstring test_functools
test_genexps test_grammar test_heapq test_html
test_htmlparser test_int test_iter test_itertools test_json test_list
test_listcomps test_long test_marshal test_math test_memoryview
test_opcodes test_operator test_ordered_dict test_patma test_pickle
test_pprint test_range test_re test_richcmp test_set test_slice test_sort
test_statistics test_string test_struct test_textwrap test_tokenize
test_tuple test_types test_typing test_unicode test_userdict test_weakref
test_zlib'

cpython() {
    # shellcheck disable=SC2086 # a list of names
    PYTHONMALLOC=malloc PYTHONHASHSEED=0 "${under[@]}" "$python" -m test \
        $python_modules >log 2>&1 && return
    grep -A 15 -E '^(FAIL|ERROR):|tests? failed' log
    return 1
}

throws() {
    "${under[@]}" "$VICTIMS/unwind_throw" 1000
}

coroutines() {
    "${under[@]}" "$VICTIMS/unwind_coroutines" 300000 bare
}

jumps() {
    "${under[@]}" "$VICTIMS/unwind_jumps" 10000
}

twins() {
    "${under[@]}" "$VICTIMS/unwind_twins" 10000
}

plugins() {
    "${under[@]}" "$VICTIMS/unwind_dl" "$VICTIMS"/unwind_plugin_{a,b}.so 3000
}

# ---- all of it --------------------------------------------------------------

only=("$@")
load "exceptions through 30 frames, 8 threads" throws
load "swapcontext, and a switch by hand" coroutines
load "longjmp and signal handlers" jumps
load "stacks that differ a little" twins
load "plugins at one address" plugins
load "g++ with a large file" cxx
if command -v sqlite3 >/dev/null; then
    load "sqlite3's shell" sqlite
else
    skip 3 "sqlite3 is not installed"
fi
if command -v nginx >/dev/null; then
    load "nginx under load" nginx_server
else
    skip 3 "nginx is not installed"
fi
if command -v redis-benchmark >/dev/null; then
    load "redis under redis-benchmark" redis
else
    skip 3 "redis is not installed"
fi
if python=$(find_python); then
    load "CPython's own tests, $(wc -w <<<"$python_modules") modules" cpython
else
    skip 3 "no python3 has its own tests (libpython3-testsuite)"
fi

diag "total: $total_verified stacks compared with libunwind's," \
    "$total_mismatches differ; $total_slow were libunwind's own"
is_int 0 "$total_mismatches" "no stack differs"
[ ${#only[@]} -gt 0 ] ||
    ok "at least $AT_LEAST were compared" [ "$total_verified" -ge "$AT_LEAST" ]
done_testing
