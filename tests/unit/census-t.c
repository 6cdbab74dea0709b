/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * census-t.c -- references that add up, and who holds a type in one line.
 */
#include "reporter/census.h"
#include "tests/tap/tap.h"

#define ROUNDS 20000

static char strings[] = "\0hub\0session\0sessions\0next\0sessions";
enum { HUB = 1, SESSION = 2 };
enum { SESSIONS = 13, NEXT = 22, SESSIONS_AGAIN = 27 };

static struct hkr_type types[3] = {{0}, {.name = 1}, {.name = 5}};
static struct hkr_scan scans[4];
static struct hkr_hold holds[4];
static struct hkr_referrer referrers[3];
static struct hkr_step steps[2] = {
    {.type = HUB, .index = -1},
    {.type = SESSION, .label = SESSIONS, .index = 4, .address = 0x70}};
static struct census_path path = {.head = {.step_count = 2}, .steps = steps};
static struct census censuses[3];
static struct recording rec = {.types = types,
                               .type_count = 3,
                               .scans = scans,
                               .scan_count = 4,
                               .holds = holds,
                               .hold_count = 1,
                               .censuses = censuses,
                               .strings = strings,
                               .string_bytes = sizeof strings};

static uint64_t state = 88172645463325252u;

/* Often equal or nearly equal numbers, and now and then the largest. */
static uint64_t
draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % 64 == 0 ? UINT64_MAX - (state >> 8) % 3 : (state >> 8) % 40;
}

/* What is left of the sum where a number had to stop at the largest. */
static int
adds_up(const struct census_sum *s, const struct hkr_census *h)
{
    unsigned __int128 left = s->references, right = s->fields;

    left += s->excess;
    right += s->other_fields;
    right += s->holds;
    right += s->unknown;
    return s->references == h->references && left == right;
}

static void
test_sums(void)
{
    struct census *c = &censuses[0];
    int wrong = 0, unsure_wrong = 0, seen_unsure = 0, seen_excess = 0;

    c->head = (struct hkr_census){.type = SESSION, .referrer_count = 3};
    c->referrers = referrers;
    rec.census_count = 1;
    rec.hold_count = 4;
    for (int i = 0; i < ROUNDS; i++) {
        struct census_sum s;

        for (int k = 0; k < 3; k++)
            referrers[k].edges = draw();
        for (int k = 1; k < 4; k++)
            holds[k] = (struct hkr_hold){.type = k == 3 ? HUB : SESSION,
                                         .live = draw() % 20};
        c->head.references = draw() * 3;
        c->head.known = draw() * 2;
        s = census_sum_of(&rec, c);
        wrong += !adds_up(&s, &c->head);
        if (s.holds_unsure)
            unsure_wrong += s.holds >= holds[1].live + holds[2].live;
        else
            unsure_wrong += s.holds != holds[1].live + holds[2].live;
        seen_unsure += s.holds_unsure;
        seen_excess += s.excess != 0;
    }
    is_int(0, wrong, "%d sums add up", ROUNDS);
    is_int(0, unsure_wrong, "holds are those of the type, or fewer");
    ok(seen_unsure > 100 && seen_excess > 100,
       "all kinds were drawn (%d unsure, %d with too many edges)",
       seen_unsure, seen_excess);
}

static void
set(struct census *c, uint32_t scan, uint64_t references, uint32_t rows)
{
    *c = (struct census){.head = {.type = SESSION,
                                  .scan = scan,
                                  .referrer_count = rows,
                                  .objects = 10,
                                  .lost = 4,
                                  .references = references},
                         .referrers = referrers};
    for (uint32_t i = 0; i < rows; i++)
        c->head.known += referrers[i].edges;
}

static void
test_held_by(void)
{
    char text[200];

    rec.hold_count = 1;
    rec.census_count = 1;
    referrers[0] = (struct hkr_referrer){30, 2, SESSION, NEXT};
    referrers[1] = (struct hkr_referrer){60, 5, HUB, SESSIONS};
    referrers[2] = (struct hkr_referrer){1, 1, HUB, NEXT};
    set(&censuses[0], 1, 100, 2);
    is_int(0, census_held_by(&rec, SESSION, text, sizeof text), "there is one");
    is_str("hub.sessions 60 %, session.next 30 %, unknown 10 %", text,
           "the largest first");
    set(&censuses[0], 1, 90, 2);
    censuses[0].paths = &path;
    censuses[0].head.path_count = 1;
    census_held_by(&rec, SESSION, text, sizeof text);
    is_str("hub.sessions[] 67 %, session.next 33 %", text,
           "an array, as a path shows; nothing is unknown");
    censuses[0].head.references = 45;
    census_held_by(&rec, SESSION, text, sizeof text);
    is_str("hub.sessions[] 67 %, session.next 33 %", text,
           "shares of all edges, if these are more than the references");
    referrers[0].edges = 400;
    set(&censuses[1], 3, 400, 1);
    rec.census_count = 2;
    census_held_by(&rec, SESSION, text, sizeof text);
    is_str("session.next 100 %", text, "the newest census counts");
    is_int(-1, census_held_by(&rec, HUB, text, sizeof text), "no census");
    is_str("", text, "says nothing");
}

static void
test_field(void)
{
    struct hkr_referrer r;

    referrers[0] = (struct hkr_referrer){30, 2, HUB, SESSIONS};
    referrers[1] = (struct hkr_referrer){60, 5, HUB, SESSIONS_AGAIN};
    set(&censuses[0], 1, 100, 2);
    is_int(0, census_field(&rec, &censuses[0], HUB, SESSIONS, &r), "a field");
    ok(r.edges == 90 && r.sole == 7, "labels with the same text are one");
    is_int(0, census_field(&rec, &censuses[0], HUB, NEXT, &r),
           "a field without edges");
    is_int(0, (int64_t)r.edges, "has none");
    censuses[0].head.known = 91;
    is_int(-1, census_field(&rec, &censuses[0], HUB, NEXT, &r),
           "unless not all fields are listed");
    is_int(6, (int64_t)census_live(&censuses[0]), "unreachable ones are apart");
}

static void
test_path(void)
{
    const struct census *c = NULL;

    rec.census_count = 1;
    set(&censuses[0], 1, 100, 2);
    censuses[0].paths = &path;
    censuses[0].head.path_count = 1;
    ok(census_path_to(&rec, 0x70, &c) == &path && c == &censuses[0],
       "the path to an object");
    ok(!census_path_to(&rec, 0x71, &c), "there is none to another one");
}

int
main(void)
{
    test_sums();
    test_held_by();
    test_field();
    test_path();
    return done_testing();
}
