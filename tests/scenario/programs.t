#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Unmodified programs of the distribution do the same under heapknot run as
# without it: stdout, stderr, and status, with nothing taken away.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl /usr/bin/python3

IN=$TMP/in
mkdir -p "$IN"
export HOME=$TMP/home GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
mkdir -p "$HOME"

# ---- jq ---------------------------------------------------------------------

perl -e 'print "[";
    for my $i (1 .. 20000) {
        printf "%s{\"id\":%d,\"name\":\"n%d\",\"tags\":[\"t%d\",\"t%d\"]," .
               "\"at\":{\"x\":%.3f,\"y\":null}}\n",
            $i > 1 ? "," : "", $i, $i * 7919 % 10007, $i % 13, $i % 17,
            $i / 7;
    }
    print "]\n"' >"$IN/big.json"

same "jq on 20,000 objects" \
    jq '[.[] | select(.id % 3 == 0) | {k: .tags[0], x: .at.x}]
        | group_by(.k) | map({(.[0].k): (map(.x) | add)}) | add' \
    "$IN/big.json"
expect=1 same "jq -e with a false answer" jq -e '.[0].id > 5' "$IN/big.json"
expect=3 same "jq with an error of syntax" jq '.[' "$IN/big.json"

# ---- git --------------------------------------------------------------------

cat >"$IN/git.sh" <<'END'
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
git init -q -b main one
cd one
git config pack.threads 1
for i in 1 2 3 4 5; do
    for j in 1 2 3 4 5 6; do seq $((i * j)) $((i * j + 300)) >file$j; done
    git add .
    GIT_AUTHOR_DATE="2001-02-0$i 00:00 +0000" \
        GIT_COMMITTER_DATE="2001-02-0$i 00:00 +0000" git commit -m "step $i"
done
git log --stat --format='%H %an %ad %s'
git gc -q
git count-objects -v | grep -v size
git rev-parse HEAD main^{tree}
git diff HEAD~3 HEAD~1 | cksum
cd ..
git clone -q one two
git -C two log --oneline
git -C two fsck
git -C two checkout no-such-branch
END
expect=1 same "git init, commit, log, gc, clone, fsck" sh "$IN/git.sh"

# ---- gcc --------------------------------------------------------------------

cat >"$IN/good.cc" <<'END'
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>
template <int N> struct fib { enum { v = fib<N - 1>::v + fib<N - 2>::v }; };
template <> struct fib<0> { enum { v = 0 }; };
template <> struct fib<1> { enum { v = 1 }; };
template <class T> std::vector<T> sorted(std::vector<T> v)
{
    std::sort(v.begin(), v.end());
    return v;
}
int use(const std::map<std::string, std::shared_ptr<int>> &m)
{
    std::vector<int> v = sorted(std::vector<int>{3, 1, 2});
    for (auto &e : m)
        v.push_back(*e.second + fib<40>::v + int(e.first.size()));
    return sorted(v).back();
}
END
echo 'int main() { std::string s = nothing; return s }' >"$IN/bad.cc"
cat >"$IN/cc.sh" <<'END'
g++ -std=c++17 -O1 -fno-exceptions -c good.cc -o good.o && cksum good.o
nm -C good.o | grep -c use
g++ -c bad.cc -o bad.o
END
copy_sources() {
    cp "$IN/good.cc" "$IN/bad.cc" .
}
made_by=copy_sources
if command -v g++ >/dev/null; then
    expect=1 same "g++ with templates, and an error" sh "$IN/cc.sh"
else
    skip 2 "g++ is not installed"
fi
made_by=

# ---- interpreters -----------------------------------------------------------

cat >"$IN/all.py" <<'END'
import ctypes, gc, hashlib, json, multiprocessing, os, re, subprocess, sys
import threading, zlib

def square(n):
    return n * n

def work(results, i):
    text = json.dumps([{"n": n, "s": "x" * (n % 50)} for n in range(2000)])
    results[i] = (len(json.loads(text)), len(re.findall(r"x{7,9}", text)))

def main():
    results = [None] * 4
    threads = [threading.Thread(target=work, args=(results, i))
               for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(results)
    print(subprocess.run(["sh", "-c", "echo out; exit 3"],
                         capture_output=True))
    print(subprocess.check_output([sys.executable, "-c", "print(6 * 7)"]))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.map(square, range(1000))))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(square, [5, 6]))
    pid = os.fork()
    if pid == 0:
        os._exit(len([bytearray(i) for i in range(5000)]) % 251)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(hashlib.sha256(zlib.compress(b"abc" * 100000)).hexdigest())
    print(ctypes.CDLL(None).strlen(b"four"), gc.collect() >= 0)
    raise SystemExit(5)

if __name__ == "__main__":
    main()
END
export PYTHONHASHSEED=0 PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
expect=5 same "python3: threads, children, pools, ctypes" /usr/bin/python3 \
    "$IN/all.py"
expect=1 same "python3 with a traceback" \
    /usr/bin/python3 -c 'import json; json.loads("[1, 2")'

cat >"$IN/all.pl" <<'END'
use strict; use warnings; use Digest::MD5 qw(md5_hex); use POSIX ();
my %count;
$count{$_ * 7919 % 1009} .= "x$_" for 1 .. 50000;
print md5_hex(join ",", map { "$_=$count{$_}" } sort keys %count), "\n";
my $text = join " ", map { "word$_" } 1 .. 20000;
my $n = () = $text =~ /\b\w+7\b/g;
print "$n\n";
my $pid = fork;
POSIX::_exit(9) unless $pid;
waitpid $pid, 0;
print $? >> 8, " ", scalar(`echo child`), system("exit 4") >> 8, "\n";
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; my @a; while (1) { @a = map { "$_" } 1 .. 1000 } };
print $@;
warn "a warning\n";
exit 6;
END
expect=6 same "perl: hashes, patterns, fork, alarm" perl "$IN/all.pl"

if command -v sqlite3 >/dev/null; then
    cat >"$IN/all.sql" <<'END'
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL);
CREATE TABLE sale (item INTEGER REFERENCES item(id), day TEXT, n INTEGER);
CREATE INDEX sale_by_item ON sale(item, day);
BEGIN;
INSERT INTO item
  WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<2000)
  SELECT i, 'item ' || i, (i * 7919 % 1000) / 10.0 FROM c;
INSERT INTO sale
  WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<20000)
  SELECT 1 + i * 31 % 2000, date('2001-01-01', '+' || (i % 365) || ' days'),
         i % 7 FROM c;
COMMIT;
SELECT count(*), sum(n) FROM sale;
SELECT name, sum(n * price) AS total FROM sale JOIN item ON item = id
  GROUP BY id ORDER BY total DESC, name LIMIT 10;
SELECT day, group_concat(n) FROM sale WHERE item < 20 GROUP BY day
  ORDER BY day LIMIT 20;
PRAGMA integrity_check;
INSERT INTO item VALUES (1, 'again', 0);
END
    input=$IN/all.sql expect=1 same "sqlite3: 20,000 rows" \
        sqlite3 -batch base.db
else
    skip 2 "sqlite3 is not installed"
fi

# ---- shells and pipelines ---------------------------------------------------

cat >"$IN/all.sh" <<'END'
set -u
declare -A count
for i in {1..3000}; do count[$((i * 7919 % 211))]+=x; done
echo "${#count[@]} ${count[7]}"
seq 1 20000 | sort -rn | awk '{ s += $1 * NR % 7 } END { print s }'
echo "$(echo "$(echo nested) twice") $(printf '%s' {a..e} | tr a-e A-E)"
( trap 'echo left a subshell' EXIT; exit 3 ); echo "status $?"
trap 'echo got USR1' USR1
kill -USR1 $$
sleep 0.1 & a=$!
( exit 7 ) & b=$!
wait $b; echo "b $?"
wait $a; echo "a $?"
sleep 30 & kill %1; wait %1 2>/dev/null; echo "killed $?"
set -m
( exit 4 ) & wait $!; echo "job $?"
set +m
false | true; echo "${PIPESTATUS[*]}"
set -o pipefail
exit 5 | cat; echo "pipefail $?"
read -r line < <(echo from a process substitution); echo "$line"
mapfile -t lines <<<"$(yes | head -n 1000)"; echo "${#lines[@]}"
exec 3>&1; echo three >&3; exec 3>&-
/nonexistent/program; echo "status $?"
trap 'echo bye' EXIT
exit 9
END
expect=9 same "bash: jobs, traps, pipelines, substitutions" bash "$IN/all.sh"

cat >"$IN/tar.sh" <<'END'
mkdir tree
for i in 1 2 3 4 5 6 7 8; do seq $i 40000 >tree/f$i; done
tar --sort=name --owner=0 --group=0 --mtime=@0 -cf - tree | gzip -n >t.gz
tar --sort=name --owner=0 --group=0 --mtime=@0 -cf - tree | xz -1 -T2 >t.xz
cksum t.gz t.xz
mkdir a b
gzip -dc t.gz | tar -xf - -C a && tar -xJf t.xz -C b
diff -r a b && diff -r a/tree tree && echo equal
head -c 1000 t.gz | gzip -dc | wc -c
head -c 1000 t.xz | xz -t
END
expect=1 same "tar with gzip and xz" sh "$IN/tar.sh"

expect=7 same "a pipeline inside sh -c, and its status" \
    sh -c 'seq 1000 | tail -n 2; exit 7'
expect=127 same "a command that is not found by sh" sh -c 'no-such-command'
expect=137 same "a command killed by a signal" sh -c 'echo on; kill -9 $$'
expect=134 same "a command that aborts" perl -e 'use POSIX; POSIX::abort()'
expect=143 same "a program that a signal ends" \
    perl -e '$| = 1; print "on\n"; kill TERM => $$; sleep 9'
expect=0 same "closed standard streams" \
    sh -c 'sort --version >&- 2>&- <&-; exit 0'
expect=2 same "an output that is gone" \
    bash -c 'set -o pipefail; seq 100000 2>/dev/null | head -n 1; exit 2'

in_one_name() {
    local i
    for i in {1..150}; do
        /bin/true || return 1
    done
}
export -f in_one_name
same "150 children and one name" bash -c 'in_one_name; echo "$?"'

done_testing
