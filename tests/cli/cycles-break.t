#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# cycles-break.t -- what heapknot cycles advises, and what it says of scans, on
# groups whose remedy was planted by tests/mkrec.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

make_rec() { # SCENARIO [KEY=VALUE...]
    python3 "$TOP/tests/mkrec/scenarios.py" "$1" "$TMP/$1.hk" "${@:2}" ||
        bail_out "mkrec $1"
}
json() { # JQ, of a group called g
    "$HEAPKNOT" cycles --json "$TMP/knots.hk" |
        jq -rc "def g(f): .cycles[] | select(.fingerprint | endswith(f)); $1"
}
group() { # FINGERPRINT: its text
    "$HEAPKNOT" cycles --top=9 "$TMP/knots.hk" |
        sed -n "/fingerprint 0*$1\$/,/CYCLE\\|^\$/p"
}
make_rec knots

# --- the back edge, weak would do
is_str '["Conn.user","Conn","user",1,true,["Session.conn","Conn.user"],["Conn.user"],true,true,"0x401300",false]' \
    "$(json 'g("a1").break | [.field,.type,.label,.edges,.back,.alone,.set,
        .set_complete,.weak_ok,.clear_in,.of_part]')" "a back edge by birth"
is_str '["Session",2408,2408,0]' \
    "$(json 'g("a1").break.evidence | [.type,.live,.referred,.held_alone]')" \
    "the evidence that weak would do: unreachable ones do not count"
is_str '{"objects":14,"bytes":1112}' "$(json 'g("a1").retained')" "retained"
is_str '[36,6,6]' \
    "$(json 'g("a1") | [.age.oldest,.age.youngest,.rate_per_minute]')" \
    "age and rate"
text=$(group a1)
like 'break at +back edge present in all 4 instances: Conn\.user \(make it weak, or clear it in 0x401300\)$' \
    "$text" "text: where"
like 'weak would do: no Session of 2,408 lives by this field alone$' \
    "$text" "text: weak"
like 'age +oldest 36\.0 s, youngest 6\.0 s; growing \+6\.0/min for 30\.0 s$' \
    "$text" "text: age and rate"
like 'retained +14 objects, 1\.1 KiB in all$' "$text" "text: retained"
like '9 x Conn: never released, as far as was seen' "$text" "never released"
unlike 'unknown stack|judged by' "$text" "nothing else"

# --- equal births: the census decides; weak would not do
is_str '["Hub.leaves[]",2,false,false,31,1204,null,0]' \
    "$(json 'g("a2") | [.break.field,.break.edges,.break.back,.break.weak_ok,
        .break.evidence.held_alone,.break.evidence.live,.break.clear_in,
        .rate_per_minute]')" "an array, weak would not do"
text=$(group a2)
like 'break at +edge present in all 3 instances: Hub\.leaves\[\] \(clear it before its object is let go\)$' \
    "$text" "text: no function is known"
like 'weak would not do: 31 of 1,204 live ones are held by this field alone$' \
    "$text" "text: why not weak"
like 'youngest 33\.0 s; not growing for 30\.0 s$' "$text" "not growing"

# --- shapes that need more
is_str '[[],["Session.b","Conn.d"],null,null,null]' \
    "$(json 'g("a3") | [.break.alone,.break.set,.break.weak_ok,.age,
        .rate_per_minute]')" "two rings need two fields"
like 'no single field is in every cycle; together they do: Session\.b and Conn\.d' \
    "$(group a3)" "text"
is_str null "$(json 'g("a4").break')" "a part without a cycle"
like 'break at +no cycle is complete in the part that is shown' \
    "$(group a4)" "text"
is_str '["Conn.next",true]' \
    "$(json 'g("a5").break | [.field,.of_part]')" "a part with a cycle"
like 'judged by the part that is shown' "$(group a5)" "text"
is_str '["Session.back",true]' "$(json 'g("a6").break | [.field,.back]')" \
    "births 50 days after the start"
is_str '[4233600,4320000]' "$(json 'g("a6") | [.members[].born]')" \
    "and when they were"

# --- the better place, and the other end
is_str '["Leaf.hub",true,false,9,"0x401300","Hub.rest"]' \
    "$(json 'g("a7").break | [.field,.back,.weak_ok,.evidence.held_alone,
        .clear_in,.weak_instead]')" \
    "not where its maker let go, but where the others were released"
like 'or break it at Hub\.rest, where weak would do: no Leaf of 1,204 lives by it alone' \
    "$(group a7)" "text: weak would do at the other end"
is_str null "$(json 'g("a1").break.weak_instead')" "null where it does here"

# --- functions by name: what only drops a reference is not the place
cat >"$TMP/named.c" <<'EOF'
static volatile int n;
__attribute__((noinline)) void conn_new(void) { n++; n++; n++; n++; }
__attribute__((noinline)) void conn_put(void) { n++; n++; n++; n++; }
__attribute__((noinline)) void output(void) { n++; n++; n++; n++; }
__attribute__((noinline)) void on_close(void) { n++; n++; n++; n++; }
int main(void) { conn_new(); conn_put(); output(); on_close(); return 0; }
EOF
$CC -g -O0 -no-pie -Wl,--build-id=0x00c0ffee -o "$TMP/named" "$TMP/named.c" ||
    bail_out "no compiler"
at() { # FUNCTION: an address in it
    printf '0x%x' $((0x$(nm "$TMP/named" | sed -n "s/ T $1\$//p") + 8))
}
named() { # STACK...: clear_in where most were released by this stack
    make_rec named "exe=$TMP/named" build_id=00c0ffee \
        "made=$(at conn_new)" "released=$(IFS=,; echo "$*")"
    "$HEAPKNOT" cycles --json "$TMP/named.hk" |
        jq -r '.cycles[0].break.clear_in'
}
is_str on_close "$(named "$(at conn_put)" "$(at on_close)" "$(at main)")" \
    "the caller of conn_put"
is_str output "$(named "$(at output)" "$(at on_close)")" \
    "output is no kind of put"
is_str conn_put "$(named "$(at conn_put)")" "conn_put, if that is all there is"

# --- without census and births
make_rec cycles
is_str '["Session.conn",false,null,null,null,null]' \
    "$("$HEAPKNOT" cycles --json "$TMP/cycles.hk" | jq -c '.cycles[0] |
        [.break.field,.break.back,.break.weak_ok,.break.evidence,.age,
        .rate_per_minute]')" "an older recording"
unlike 'weak|  age ' "$("$HEAPKNOT" cycles "$TMP/cycles.hk")" \
    "no advice about weak without a census"

# --- scans
is_str '[["done","snapshot",4096,0.5,null],["skipped","snapshot",0,0],["crashed","snapshot",0,0,"Session"],["done","copy",0,0],["skipped","snapshot",0,0]]' \
    "$(json '[.scans[] | [.status,.method,.memory_bytes,.wall_seconds]
        + (if .culprit then [.culprit] elif .wall_seconds > 0 then [.culprit]
        else [] end)]')" "scans"
is_str '[7,3,"signal 11","the pause would be 40.0 ms, more than pause_budget= allows"]' \
    "$(json '[.scans[3].opaque_objects, .scans[3].ignored, .scans[2].reason,
        .scans[1].reason]')" "what came with version 1.3"
is_str '[null,null,null]' "$("$HEAPKNOT" cycles --json "$TMP/cycles.hk" |
    jq -c '.scans[0] | [.method,.memory_bytes,.reason]')" "null before"
for cmd in report cycles; do
    text=$("$HEAPKNOT" $cmd "$TMP/knots.hk")
    like 'at 20\.0 s: did not run: the pause would be 40\.0 ms, more than pause_budget= allows$' \
        "$text" "$cmd: a scan that did not run says why"
    like 'at 30\.0 s: child died: signal 11 \(traverse of Session\); blocked' \
        "$text" "$cmd: one that failed, too"
    like 'copy while running 0\.2 s; 7 objects that a copy cannot read; 3 cycles ignored' \
        "$text" "$cmd: a copy"
    like 'at 45\.0 s: did not run: no memory\?for it$' "$text" \
        "$cmd: a reason is one line"
done

# --- the head of a group: older, newer, and too short for what it says
make_rec knots chunk_bytes=1024
is_str "$(json '[.cycles[].break.field]')" \
    '["Conn.user","Hub.leaves[]","Leaf.hub","Session.b","Session.back",null,"Conn.next"]' \
    "the same in small chunks"
make_rec knots
printf '\002' | dd of="$TMP/knots.hk" bs=1 conv=notrunc seek=14 status=none
"$HEAPKNOT" cycles "$TMP/knots.hk" >"$TMP/out" 2>"$TMP/err"
is_int 0 $? "what is behind the sites is no matter to version 1.2"
done_testing
