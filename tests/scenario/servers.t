#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Unmodified servers under load do the same with the agent, and redis's own
# idea of its memory is ours.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl

# end_server PID: its status, after the signal.
end_server() {
    local status=0
    kill "-$1" "$2"
    wait "$2" || status=$?
    echo "the server ended with $status"
}

# ---- redis ------------------------------------------------------------------

# 100,000 keys, 10 to 200 bytes each, as one would pipe them in.
redis_keys() {
    perl -e 'srand 7;
        for my $i (1 .. 100000) {
            my $v = "v" x (10 + $i * 7919 % 191);
            printf "*3\r\n\$3\r\nSET\r\n\$%d\r\nkey:%d\r\n\$%d\r\n%s\r\n",
                4 + length $i, $i, length $v, $v;
        }'
}

redis() {
    redis-cli -p "$port" "$@"
}

redis_memory() {
    redis info memory | tr -d '\r' | sed -n 's/^used_memory://p'
}

# Idle, and the recording up to date.
compare_memory() {
    "$HEAPKNOT" ctl "$server" snapshot >/dev/null 2>"$TMP/ctl.err"
    redis_memory >"$TMP/used_memory"
    json "$SEEN/hk/first.hk" .totals.usable_bytes >"$TMP/usable_bytes"
}

redis_session() {
    local port server
    port=$(free_port)
    "${wrap[@]}" redis-server --save "" --port "$port" --bind 127.0.0.1 \
        --enable-debug-command local >server.log 2>&1 &
    server=$!
    wait_until 10 redis ping || echo "no redis"
    redis_keys | redis --pipe
    redis dbsize
    redis-benchmark -p "$port" -n 20000 -P 16 -q -t set,get,incr,lpush,zadd \
        >bench.log 2>&1
    echo "benchmark $? $(grep -c 'requests per second' bench.log)"
    redis get counter:__rand_int__
    redis llen mylist
    redis eval 'local t = {} for i = 1, 1000 do t[i] = i * i end
        return redis.sha1hex(table.concat(t, ","))' 0
    redis object encoding key:5
    for i in 1 2 3 4 5; do redis del "key:$i"; done
    redis debug digest
    [ ${#wrap[@]} -eq 0 ] || compare_memory
    redis flushall
    redis dbsize
    end_server TERM "$server"
    grep -c 'Can.t\|error\|BUG' server.log || :
}

agree_within() { # PERCENT A B
    awk -v p="$1" -v a="$2" -v b="$3" \
        'BEGIN { d = (a - b) / b * 100; print "differ by " d " %"
                 exit !(a > 0 && d < p && d > -p) }'
}

if command -v redis-server >/dev/null; then
    both_ways "redis under redis-benchmark" redis_session
    ok "its recording opens" recorded
    used=$(cat "$TMP/used_memory") usable=$(cat "$TMP/usable_bytes")
    ok "used_memory ($used) and usable_bytes ($usable) agree within 5 %" \
        agree_within 5 "$usable" "$used"
    is_str exited "$(json "$SEEN/hk/first.hk" .process.state)" \
        "how it ended is known"
else
    skip 4 "redis-server is not installed"
fi

# ---- nginx ------------------------------------------------------------------

nginx_files() {
    local user=
    ! is_root || user='user root;'
    mkdir -p files logs
    seq 20000 >files/big.txt
    seq 10 >files/small.txt
    cat >nginx.conf <<END
$user
worker_processes 2;
daemon off;
pid nginx.pid;
error_log logs/error.log warn;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 10;
    server {
        listen 127.0.0.1:$port;
        root files;
        log_not_found off;
        location /moved { return 302 /small.txt; }
        location /denied { return 403; }
    }
    include more*.conf;
}
END
}

# A client of 4 processes, so that nothing else is needed than perl.
nginx_load() {
    perl -MIO::Socket::INET -MDigest::MD5=md5_hex -e '
        my ($port, $n) = @ARGV;
        my @paths = qw(/big.txt /small.txt /none /moved /denied);
        for my $child (1 .. 4) {
            next if fork;
            my %seen;
            for my $i (1 .. $n) {
                my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1",
                    PeerPort => $port) or die "connect: $!";
                my $gzip = $i % 2 ? "Accept-Encoding: gzip\r\n" : "";
                print $s "GET $paths[$i % 5] HTTP/1.0\r\n$gzip\r\n";
                local $/;
                my $all = <$s>;
                my ($head, $body) = split /\r\n\r\n/, $all, 2;
                $head =~ s/^(Date|Last-Modified|ETag|Location):.*\r?\n?//mg;
                $seen{md5_hex($head . $body)}++;
            }
            open my $out, ">", "client.$child";
            print $out "$_ $seen{$_}\n" for sort keys %seen;
            exit 0;
        }
        1 while wait > 0;' "$port" "$1"
    cat client.? | sort | uniq -c
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

nginx_session() {
    local port server nginx=(nginx -p "$WORK" -c nginx.conf)
    port=$(free_port)
    nginx_files
    "${nginx[@]}" -t 2>&1 | grep -c successful
    "${wrap[@]}" "${nginx[@]}" -e logs/error.log &
    server=$!
    wait_until 10 listens "$port" || echo "no nginx"
    nginx_load 200
    second=$(free_port)
    echo "server { listen 127.0.0.1:$second; root files; }" >more.conf
    kill -HUP "$server"
    wait_until 10 listens "$second" || echo "no reload"
    nginx_load 50
    end_server QUIT "$server"
    grep -v notice logs/error.log || :
}

PATH=$PATH:/usr/sbin:/sbin
if command -v nginx >/dev/null; then
    both_ways "nginx, two workers, reload, graceful end" nginx_session
    ok "its recordings open" recorded
    count=$(find "$SEEN/hk" -name '*.hk' | wc -l)
    ok "the workers have recordings of their own ($count in all)" \
        test "$count" -ge 3
else
    skip 3 "nginx is not installed"
fi

done_testing
