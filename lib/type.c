/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * type.c -- the table of types.
 *
 * Called by   hk_type_register and everything that holds a type id; the
 *             publisher and scans walk it.
 * Threads     any.  The table only grows: a type is entered by one
 *             compare-and-swap at the first empty id, after all lower ids were
 *             looked at, so two threads cannot enter the same name twice.
 * Memory      host_map(), in blocks of types, never returned.
 * Fails       hk_type_register: NULL, errno, a sentence.
 * Invariants  ids 1 .. type_count() are filled and never change.
 */
#include "lib/type.h"

#include <errno.h>
#include <string.h>

#include "lib/error.h"
#include "lib/fields.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/start.h"

#define TYPES_MAX 65535u
#define BLOCK_TYPES 64u

/* What a spec had in the first version: a shorter one is a mistake. */
#define SPEC_MIN (offsetof(hk_type_spec, refcount_bias) + sizeof(intptr_t))

hk_type *type_table[TYPES_MAX + 1];
static uint32_t name_hashes[TYPES_MAX + 1]; /* 0: not known yet */
static uint32_t count;
static int lookup_needed;

/* Room for twice as many: who loses a race for a name leaves one unused. */
static void *blocks[2 * (TYPES_MAX / BLOCK_TYPES + 1)];
static uint32_t used_types; /* of blocks */

uint32_t
type_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

int
type_lookup_needed(void)
{
    return __atomic_load_n(&lookup_needed, __ATOMIC_RELAXED);
}

/* ---- registration ------------------------------------------------------- */

static int
refuse(const hk_type_spec *s, const char *why)
{
    error_set(EINVAL, "type %s: %s", s->name, why);
    return -1;
}

static int
check_foreign(const hk_type_spec *s)
{
    if (s->refcount_width != 4 && s->refcount_width != 8)
        return refuse(s, "refcount_width is neither 4 nor 8");
    if (s->refcount_offset > s->size
        || s->refcount_width > s->size - s->refcount_offset)
        return refuse(s, "its reference count is outside the struct");
    if (s->refcount_offset % s->refcount_width)
        return refuse(s, "refcount_offset is misaligned");
    return 0;
}

/* Callbacks that could never run are a misunderstanding. */
static int
check_callbacks(const hk_type_spec *s)
{
    if (!(s->flags & HK_TYPE_FOREIGN) && (s->retain || s->release))
        return refuse(s, "retain and release are for HK_TYPE_FOREIGN");
    if (!s->retain != !s->release)
        return refuse(s, "retain and release come together");
    if (s->flags & HK_TYPE_FOREIGN
        && (s->dealloc || s->finalize || s->legacy_del))
        return refuse(s, "a foreign object has an end of its own: no dealloc,"
                      " finalize or legacy_del");
    if (s->flags & HK_TYPE_LEAF && (s->fields || s->traverse || s->clear))
        return refuse(s, "a leaf has no fields, traverse or clear");
    if (s->flags & HK_TYPE_IMMUTABLE && s->clear)
        return refuse(s, "an immutable type has no clear");
    return 0;
}

static int
check_header(const hk_type_spec *s)
{
    if (s->header_offset % 8)
        return refuse(s, "header_offset is not a multiple of 8");
    if (s->size < sizeof(hk_object)
        || s->header_offset > s->size - sizeof(hk_object))
        return refuse(s, "its header is outside the struct");
    return 0;
}

static int
check_spec(const hk_type_spec *s)
{
    if (!s->name || !s->name[0]) {
        error_set(EINVAL, "a type needs a name");
        return -1;
    }
    if (s->size == 0)
        return refuse(s, "size is 0");
    if (s->flags
        & ~(unsigned)(HK_TYPE_LEAF | HK_TYPE_FOREIGN | HK_TYPE_NONATOMIC
                      | HK_TYPE_IMMUTABLE))
        return refuse(s, "flags has a bit that this library does not know");
    if (s->flags & HK_TYPE_FOREIGN ? check_foreign(s) : check_header(s))
        return -1;
    if (!(s->flags & HK_TYPE_LEAF) && !s->fields && !s->traverse)
        return refuse(s, "needs fields or traverse, or HK_TYPE_LEAF");
    if (check_callbacks(s) || fields_check(s->fields, s->size, s->name))
        return -1;
    if (!(s->flags & HK_TYPE_FOREIGN)
        && fields_overlap(s->fields, 0, s->header_offset,
                          s->header_offset + sizeof(hk_object)))
        return refuse(s, "a field lies on its header");
    return 0;
}

/* A copy of the caller's spec, which may be of an older, shorter kind. */
static int
take_spec(const hk_type_spec *spec, hk_type_spec *copy)
{
    if (!spec) {
        error_set(EINVAL, "no type spec");
        return -1;
    }
    if (spec->struct_size < SPEC_MIN) {
        error_set(EINVAL, "struct_size of a type spec is not its sizeof");
        return -1;
    }
    if (spec->struct_size > sizeof(*spec)) {
        error_set(EINVAL, "a type spec is newer than this library: %zu bytes"
                  " instead of %zu", spec->struct_size, sizeof(*spec));
        return -1;
    }
    memset(copy, 0, sizeof(*copy));
    memcpy(copy, spec, spec->struct_size);
    copy->struct_size = sizeof(*copy);
    return check_spec(copy);
}

static int
callbacks_equal(const hk_type_spec *a, const hk_type_spec *b)
{
    return a->traverse == b->traverse && a->clear == b->clear
           && a->finalize == b->finalize && a->legacy_del == b->legacy_del
           && a->dealloc == b->dealloc && a->describe == b->describe
           && a->extra_size == b->extra_size && a->retain == b->retain
           && a->release == b->release;
}

static int
specs_equal(const hk_type_spec *a, const hk_type_spec *b)
{
    return a->size == b->size && a->header_offset == b->header_offset
           && a->flags == b->flags && a->refcount_offset == b->refcount_offset
           && a->refcount_width == b->refcount_width
           && a->refcount_bias == b->refcount_bias && callbacks_equal(a, b)
           && fields_equal(a->fields, b->fields);
}

static uint32_t
hash_name(const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h ? h : 1;
}

static void
prepare(hk_type *t, const hk_type_spec *s)
{
    t->spec = *s;
    t->is_container = !(s->flags & HK_TYPE_LEAF);
    t->ref_count = (int8_t)(s->traverse ? -1
                                        : fields_flatten(s->fields, 0, t->refs,
                                                         TYPE_REFS_MAX));
    t->has_weakrefs = fields_have(s->fields, HK_WEAKREF) != 0;
    t->is_simple = t->ref_count >= 0 && !t->has_weakrefs && !s->header_offset
                   && !s->finalize && !s->legacy_del && !s->dealloc
                   && !s->clear && !(s->flags & HK_TYPE_FOREIGN)
                   && !host_has_stacks;
    t->new_bits = s->flags & HK_TYPE_NONATOMIC ? HK_BIT_NONATOMIC : 0;
}

static hk_type *
make_type(const hk_type_spec *spec)
{
    uint32_t n = __atomic_fetch_add(&used_types, 1, __ATOMIC_RELAXED);
    hk_type *block;

    if (n / BLOCK_TYPES >= sizeof(blocks) / sizeof(blocks[0])) {
        __atomic_fetch_sub(&used_types, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    block = registry_map_once(&blocks[n / BLOCK_TYPES],
                              BLOCK_TYPES * sizeof(hk_type));
    if (!block)
        return NULL;
    prepare(&block[n % BLOCK_TYPES], spec);
    return &block[n % BLOCK_TYPES];
}

static void
publish(hk_type *type, uint32_t hash)
{
    uint32_t seen = __atomic_load_n(&count, __ATOMIC_RELAXED);

    __atomic_store_n(&name_hashes[type->id], hash, __ATOMIC_RELAXED);
    if (type_is_foreign(type) || type->spec.header_offset)
        __atomic_store_n(&lookup_needed, 1, __ATOMIC_RELAXED);
    while (seen < type->id
           && !__atomic_compare_exchange_n(&count, &seen, type->id, 0,
                                           __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

/* Enters the type at the id, unless another thread does: then that one. */
static hk_type *
claim_id(uint32_t id, hk_type *type, uint32_t hash)
{
    hk_type *other = NULL;

    type->id = (uint16_t)id;
    type->is_simple &= id < SHARD_TYPES;
    type->new_kind =
        (struct record){.type = type->id, .state = RECORD_TRACKED}.kind;
    if (!__atomic_compare_exchange_n(&type_table[id], &other, type, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return other;
    if (type->spec.finalize || type->spec.legacy_del)
        registry_show_order();
    publish(type, hash);
    return type;
}

static int
same_name(uint32_t id, const hk_type *type, const char *name, uint32_t hash)
{
    uint32_t known = __atomic_load_n(&name_hashes[id], __ATOMIC_RELAXED);

    return (known == 0 || known == hash)
           && strcmp(type->spec.name, name) == 0;
}

static hk_type *
find_or_enter(const hk_type_spec *spec)
{
    uint32_t hash = hash_name(spec->name);
    hk_type *mine = NULL, *type;

    for (uint32_t id = 1; id <= TYPES_MAX; id++) {
        type = type_get(id);
        if (!type) {
            if (!mine && !(mine = make_type(spec))) {
                error_set(ENOMEM, "type %s: no memory", spec->name);
                return NULL;
            }
            type = claim_id(id, mine, hash);
            if (type == mine)
                return mine;
        }
        if (!same_name(id, type, spec->name, hash))
            continue;
        if (specs_equal(&type->spec, spec))
            return type;
        error_set(EEXIST, "type %s: another one has this name", spec->name);
        return NULL;
    }
    error_set(ENOSPC, "type %s: there are %u types already", spec->name,
              TYPES_MAX);
    return NULL;
}

hk_type *
hk_type_register(const hk_type_spec *spec)
{
    hk_type_spec copy;

    start_is_linked();
    return take_spec(spec, &copy) ? NULL : find_or_enter(&copy);
}

/* ---- queries ------------------------------------------------------------ */

const char *
hk_type_name(const hk_type *type)
{
    return type ? type->spec.name : "(no type)";
}

void
hk_type_counts(const hk_type *type, uint64_t *created, uint64_t *destroyed,
               uint64_t *tracked)
{
    struct shard_count sum = {0, 0, 0};

    if (type)
        type_counts(type, &sum);
    if (destroyed)
        *destroyed = sum.destroyed;
    if (created)
        *created = sum.created;
    if (tracked)
        *tracked = sum.tracked;
}

/* Destroyed ones first: hardly ever more seem to have died than were made. */
void
type_counts(const hk_type *type, struct shard_count *sum)
{
    const struct shard_count *c = &type->shared;
    uint64_t destroyed = __atomic_load_n(&c->destroyed, __ATOMIC_ACQUIRE);

    memset(sum, 0, sizeof(*sum));
    if (type->id < SHARD_TYPES)
        shard_sum(type->id, sum);
    sum->destroyed += destroyed;
    sum->created += __atomic_load_n(&c->created, __ATOMIC_RELAXED);
    sum->tracked += __atomic_load_n(&c->tracked, __ATOMIC_RELAXED);
    if (sum->destroyed > sum->created)
        sum->destroyed = sum->created;
    sum->tracked += sum->created - sum->destroyed;
    if (!type->is_container || sum->tracked > INT64_MAX)
        sum->tracked = 0;
}

/* This thread's counts of the type; NULL: it keeps none. */
static struct shard_count *
own_count(const hk_type *type)
{
    struct shard *s = shard_self;

    return s && type->id < SHARD_TYPES ? &s->counts[type->id] : NULL;
}

void
type_count_created(hk_type *type)
{
    struct shard_count *c = own_count(type);

    if (c) {
        shard_add(&c->created, 1);
        shard_add(&c->tracked, (uint64_t)-1);
    } else
        type_count_shared(type, 1, 0);
}

void
type_count_destroyed(hk_type *type)
{
    struct shard_count *c = own_count(type);

    if (c) {
        shard_add(&c->destroyed, 1);
        shard_add(&c->tracked, 1);
    } else
        type_count_shared(type, 0, 1);
}

uint64_t
type_word(const hk_type *type, const void *object)
{
    const char *at = (const char *)object + type->spec.refcount_offset;

    if (!type_is_foreign(type))
        return __atomic_load_n(&type_header(type, object)->word,
                               __ATOMIC_RELAXED);
    if (type->spec.refcount_width == 4)
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
    return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

uint64_t
type_refcount(const hk_type *type, const void *object)
{
    uint64_t word = type_word(type, object);
    intptr_t bias = type->spec.refcount_bias;

    if (!type_is_foreign(type))
        return (uint32_t)word;
    if (bias < 0 && word < 0 - (uint64_t)bias)
        return 0;
    return word + (uint64_t)bias;
}

size_t
type_object_bytes(const hk_type *type, const void *object)
{
    size_t extra = type->spec.extra_size ? type->spec.extra_size(object) : 0;

    return type->spec.size + extra;
}

struct visit {
    hk_visit_fn fn;
    void *arg;
};

static int
visit_place(void **place, const char *label, ptrdiff_t index, void *arg)
{
    const struct visit *v = arg;

    return *place ? v->fn(*place, label, index, v->arg) : 0;
}

int
type_traverse(const hk_type *type, void *object, hk_visit_fn visit, void *arg)
{
    struct visit v = {visit, arg};
    int result = fields_walk(type->spec.fields, object, visit_place, &v);

    if (!result && type->spec.traverse)
        result = type->spec.traverse(object, visit, arg);
    return result;
}
