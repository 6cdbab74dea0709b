/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recording.h -- the file that the agent writes and the reporter reads.
 *
 * This is the only thing that agent/ and reporter/ share.  It depends on
 * <stdint.h> alone.  A second reader can be written from this comment.
 *
 *
 * WHAT THE FILE IS
 *
 * One file for each process image.  The agent maps it MAP_SHARED, so whatever
 * was published is in the page cache and outlives any death of the process.
 * All integers are little-endian; byte_order tells a reader that they are not.
 * Offsets and sizes are in bytes.
 *
 *      offset 0          4096                8192
 *      +-----------------+-------------------+---------+---------+---------+--
 *      | header          | control page      | chunk 0 | chunk 1 | chunk 2 |
 *      | struct          | struct            |  16 KiB |  16 KiB |  16 KiB |
 *      | hkr_header      | hkr_control       |         |         |         |
 *      +-----------------+-------------------+---------+---------+---------+--
 *
 * A chunk is a 64-byte struct hkr_chunk and then its payload.  Every chunk is
 * hkr_header.chunk_bytes long, so a reader that does not know a type skips
 * it.  hkr_header.chunk_count chunks exist; the file may be longer (space that
 * was reserved before it was needed), never shorter.
 *
 *
 * TABLES
 *
 * A table is a list of records of one size, spread over all chunks of its
 * type.  A chunk of a table holds records first .. first + count - 1, each
 * record_bytes long.  Record 0 of every table is unused: id 0 means "none".
 * A reader uses min(record_bytes, what it knows) bytes of a record: records
 * grow at their end only.  Chunks of one table appear in ascending `first`.
 *
 *      type  record               what
 *      PROC  bytes                process facts: name NUL value NUL ...
 *      STRS  bytes                strings, NUL-terminated; an id of a string
 *                                 is its offset in this table
 *      MODL  struct hkr_module    loaded objects
 *      NODE  struct hkr_node      the trie of call stacks
 *      STAK  struct hkr_stack     counters of each stack, updated in place
 *      TYPE  struct hkr_type      counters of each type, updated in place
 *      SCAN  struct hkr_scan      one record a scan
 *      MIST  struct hkr_mistake   what the program did wrong with its objects
 *      HOLD  struct hkr_hold      named references, updated in place
 *      BALA  struct hkr_balance   references of the types in refs=, updated in
 *                                 place
 *      FREE  nothing              a chunk that may be used again
 *
 * Names in PROC: "command" (one for each argument, in order), "exe", "pid",
 * "ppid", "host", "boot_id", "cwd", "allocator", "options",
 * "agent_version", "unwinder", "exe_build_id".  Unknown names are ignored.
 *
 * Before version 1.2 there is neither MIST nor HOLD: such a recording says
 * nothing about mistakes and holds.  Before 1.3 there is neither BALA nor GRPH,
 * and frames of FIND and records of SCAN end earlier.
 *
 *
 * MISTAKES AND HOLDS
 *
 * A mistake is told in a sentence: the string `what`, then ": ", the name of
 * the type and " at " and the address.  Mistakes of one kind, what, type and
 * place are one record.  Its stacks, each 0 if it is not known:
 *
 *      here     where it was made
 *      origin   where the object was made; of HKR_MISTAKE_PUT_TWICE where it
 *               was held
 *      last     where the object died, or if it lives was last released; of
 *               HKR_MISTAKE_PUT_TWICE where it was put first
 *
 * A record of kind 0 is empty: it was being made.  An unknown kind has a
 * sentence like the others.  There are 256 records at most; the counter
 * mistakes counts all, mistakes_lost those that are in no record.
 *
 * Holds of one name, type and stack are one record; live of the `ever` holds
 * stand, the oldest since oldest_ns.  HKR_HOLD_ROOT: such a reference is meant
 * to stay.
 *
 *
 * STREAMS
 *
 * A stream is a sequence of bytes over all chunks of its type whose gen equals
 * the generation in the stream's word in the header.  Chunk `first` is the
 * offset of its payload in the stream, count the bytes in use.  The word is
 * (generation << 40 | published bytes), so one atomic store replaces the whole
 * content: the agent writes a compacted copy under the next generation and
 * then stores the word; the chunks of the old generation become FREE after.
 *
 *      type  word            frames
 *      TIME  timeline_word   struct hkr_snapshot, oldest first
 *      FIND  findings_word   struct hkr_group, the cycles known after the
 *                            last scan
 *      GRPH  graph_word      struct hkr_census, who refers to the objects of
 *                            some types, in the last scan of all objects
 *
 * Frames are 8-byte aligned in their stream, and start with their own length.
 *
 *
 * STACKS
 *
 * A stack names a whole call stack: node is the innermost frame, its parents
 * lead outwards, and the outermost frame has parent 0.
 *
 *      main+0x52 <- run+0x10 <- parse+0x33 <- strdup+0x19 (called malloc)
 *      node 1       node 2      node 3        node 4; stack 1 = {node 4}
 *
 * pc is the return address as found on the stack: subtract 1 to look up its
 * line.  module names the object that was mapped there when the node was
 * made, so a dlclose and a dlopen at the same address stay apart; pc -
 * module.bias is the address in the ELF file.  A node's parent always has a
 * smaller id.
 *
 * live blocks = allocations - frees, live bytes = allocated_bytes -
 * freed_bytes.  The counters of a stack are published one after another, so
 * while the agent is writing (publish_seq odd), or after a death in the middle
 * of that, frees may be newer than allocations: a negative difference is 0.
 *
 *
 * SAMPLING
 *
 * A stack whose sample_bytes R is not 0 was seen by a Poisson process along
 * the bytes allocated: a block of s bytes is sampled with the probability
 * p = 1 - exp(-s / R).  Each sampled block stands for 1 / p blocks and s / p
 * bytes; the four counters of such a stack are these sums, rounded, and so
 * estimates without bias.  sampled_allocations and sampled_frees count the
 * sampled blocks themselves.  With n = sampled_allocations - sampled_frees live
 * samples, each standing for b = live blocks / n blocks on average, the
 * variance of live bytes is at most n R^2 g(b), g(b) = b (b - 1)
 * ln(b / (b - 1))^2 (g is concave and rises to 1, so this holds for any mixture
 * of sizes).  The same frames may have several stacks, one for each R that was
 * used: their estimates and variances add.
 *
 * The blocks that were not sampled are counted, exactly, in one stack with the
 * flag HKR_STACK_UNSAMPLED and no frames.  The totals in the header are exact.
 *
 *
 * THE TIMELINE
 *
 * A snapshot holds totals at a moment, and what changed for each stack and
 * type since the snapshot before it.  Adding up all snapshots to k gives every
 * stack's counters at k.  After the struct follow, as unsigned LEB128 numbers
 * (7 bits a byte, low first, top bit = more):
 *
 *      stack_count times   id - id of the entry before (ascending; first: id)
 *                          allocations, frees, allocated_bytes, freed_bytes
 *      type_count times    id - id of the entry before
 *                          created, destroyed
 *
 * then zero bytes up to a multiple of 8.  Example: stack 5 allocated 3 blocks
 * of 100 bytes together and freed none: 05 03 00 64 00; stack 7 freed one
 * block of 300 bytes: 02 00 01 00 ac 02.
 *
 * Where the recording is full, two neighbours are merged: their changes are
 * added, the totals of the later one stay, `merged` counts the intervals.
 * A snapshot with a name (HKR_SNAP_MARK) is never merged into a later one.
 *
 *
 * PUBLISH ORDER
 *
 * 1. publish_seq becomes odd.  2. Records and frames are written.  3. count of
 * their chunks, chunk_count, then the stream words (release).  4. The numbers
 * in the header.  5. publish_seq becomes even, published_ns is set.  A live
 * reader copies the file and tries again if publish_seq was odd or changed.
 *
 *
 * CONTROL
 *
 * heapknot ctl takes an flock on the file, writes command and argument into
 * struct hkr_control, adds 1 to request (release), wakes the futex on request
 * (not private: both processes map the file), and waits on the futex answer
 * until it equals request.  status is then 0 or an errno, text says more.
 */
#ifndef HK_FORMAT_RECORDING_H
#define HK_FORMAT_RECORDING_H

#include <stdint.h>

#define HKR_MAGIC "HEAPKNOT" /* 8 bytes, no NUL */
#define HKR_BYTE_ORDER 0x01020304u
#define HKR_VERSION_MAJOR 1u /* a reader refuses a larger one */
#define HKR_VERSION_MINOR 3u /* a reader accepts a larger one */

#define HKR_HEADER_BYTES 4096u
#define HKR_CONTROL_OFFSET 4096u
#define HKR_CONTROL_BYTES 4096u
#define HKR_CHUNKS_OFFSET 8192u
#define HKR_CHUNK_BYTES 16384u

#define HKR_COUNTER_MAX 128
#define HKR_REASON_BYTES 256

/* How far the life of the process had come when it was last published. */
enum hkr_state {
    HKR_STATE_LIVE = 1,    /* running, or killed */
    HKR_STATE_EXITED = 2,  /* exit, _exit, quick_exit, main returned */
    HKR_STATE_EXEC = 3,    /* replaced by another program */
    HKR_STATE_ABORTED = 4, /* abort() */
    HKR_STATE_CRASHED = 5, /* a fatal signal, seen with on_crash=1 */
    HKR_STATE_RETIRED = 6  /* the agent gave up: see reason */
};

/* At offset 0.  Times are nanoseconds since start (CLOCK_MONOTONIC). */
struct hkr_header {
    char magic[8];
    uint32_t byte_order;
    uint16_t version_major, version_minor;
    uint32_t header_bytes, control_offset, control_bytes, chunk_bytes;
    uint64_t chunks_offset;
    uint32_t chunk_count; /* chunks in use or FREE */
    uint32_t state;       /* enum hkr_state */
    uint64_t publish_seq; /* odd while the agent is writing */
    uint64_t start_realtime_ns;  /* CLOCK_REALTIME of process start */
    uint64_t start_monotonic_ns; /* CLOCK_MONOTONIC of the same moment */
    uint64_t published_ns;       /* of the last complete publication */
    uint64_t publish_interval_ns; /* what a SIGKILL may have lost */
    uint64_t timeline_word, findings_word;
    uint32_t pid, exit_signal;
    uint32_t counter_count; /* entries of counters[] in use */
    uint32_t mark_count;
    uint64_t counters[HKR_COUNTER_MAX]; /* in the order of tbl/counters.h */
    char reason[HKR_REASON_BYTES];      /* why it retired, or what it lost */
    uint64_t graph_word;                /* since version 1.3 */
};

enum hkr_command {
    HKR_CMD_NONE,
    HKR_CMD_STATUS,
    HKR_CMD_PUBLISH,
    HKR_CMD_SNAPSHOT,
    HKR_CMD_MARK,
    HKR_CMD_SCAN,
    HKR_CMD_WHY /* a scan that writes a census of the argument: the name of a
                   type, or the address of an object as 0x... */
};

/* At control_offset. */
struct hkr_control {
    uint32_t request; /* futex: ctl adds 1 */
    uint32_t answer;  /* futex: the agent sets it to request */
    uint32_t command; /* enum hkr_command */
    uint32_t status;  /* 0 or an errno value */
    uint32_t listening; /* 1 while the agent's thread is there */
    uint32_t pad[3];
    char argument[512]; /* NUL-terminated */
    char text[1024];    /* NUL-terminated, one line */
};

#define HKR_TYPE(a, b, c, d)                                           \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 |        \
     (uint32_t)(d) << 24)
enum hkr_chunk_type {
    HKR_PROC = HKR_TYPE('P', 'R', 'O', 'C'),
    HKR_STRS = HKR_TYPE('S', 'T', 'R', 'S'),
    HKR_MODL = HKR_TYPE('M', 'O', 'D', 'L'),
    HKR_NODE = HKR_TYPE('N', 'O', 'D', 'E'),
    HKR_STAK = HKR_TYPE('S', 'T', 'A', 'K'),
    HKR_TYPES = HKR_TYPE('T', 'Y', 'P', 'E'),
    HKR_SCAN = HKR_TYPE('S', 'C', 'A', 'N'),
    HKR_MIST = HKR_TYPE('M', 'I', 'S', 'T'),
    HKR_HOLD = HKR_TYPE('H', 'O', 'L', 'D'),
    HKR_BALA = HKR_TYPE('B', 'A', 'L', 'A'),
    HKR_TIME = HKR_TYPE('T', 'I', 'M', 'E'),
    HKR_GRPH = HKR_TYPE('G', 'R', 'P', 'H'),
    HKR_FIND = HKR_TYPE('F', 'I', 'N', 'D'),
    HKR_FREE = HKR_TYPE('F', 'R', 'E', 'E')
};

struct hkr_chunk { /* 64 bytes */
    uint32_t type;
    uint32_t record_bytes; /* 1 for PROC, STRS and streams */
    uint64_t first;        /* id of the first record, or offset in stream */
    uint32_t count;        /* records (bytes) published */
    uint32_t pad;
    uint64_t gen; /* streams: generation; tables: 0 */
    uint64_t reserved[4];
};

enum { HKR_MODULE_EXE = 1, HKR_MODULE_AGENT = 2, HKR_MODULE_VDSO = 4 };
struct hkr_module {
    uint64_t start, end; /* lowest and one past the highest address */
    uint64_t bias;       /* address in memory - address in the ELF file */
    uint64_t loaded_ns, unloaded_ns; /* unloaded_ns 0: still there */
    uint32_t path;                   /* string */
    uint32_t flags;
    uint32_t build_id_bytes;
    uint8_t build_id[36];
};

struct hkr_node {
    uint64_t pc;
    uint32_t parent; /* node, smaller than this one's id; 0: outermost */
    uint32_t module; /* 0: unknown */
};

enum {
    HKR_STACK_TRUNCATED = 1,
    HKR_STACK_UNSAMPLED = 2 /* see SAMPLING; node is 0 */
};
struct hkr_stack {
    uint32_t node;
    uint32_t flags;
    uint64_t allocations, frees;           /* blocks, ever */
    uint64_t allocated_bytes, freed_bytes; /* as requested, ever */
    uint64_t first_ns;                     /* when first seen */
    /* Since version 1.1: see SAMPLING. */
    uint64_t sample_bytes; /* mean distance of samples, 0: every block */
    uint64_t sampled_allocations, sampled_frees; /* blocks, as they are */
};

enum { HKR_TYPE_LEAF = 1, HKR_TYPE_FOREIGN = 2 };
struct hkr_type {
    uint32_t name; /* string */
    uint32_t flags;
    uint64_t size_bytes;
    uint64_t created, destroyed; /* objects, ever */
    uint64_t tracked;            /* registered now */
};

enum {
    HKR_SNAP_MARK = 1,   /* has a name, made by hk_mark or ctl mark */
    HKR_SNAP_MANUAL = 2, /* asked for by hk_snapshot or ctl snapshot */
    HKR_SNAP_FINAL = 4   /* at the end of the process */
};
struct hkr_snapshot {
    uint32_t bytes; /* of the whole frame, a multiple of 8 */
    uint32_t flags;
    uint64_t time_ns;
    uint32_t name; /* string, 0: none */
    uint32_t merged; /* intervals in this snapshot, 1 or more */
    uint32_t stack_count, type_count;
    uint64_t live_bytes, live_blocks, allocations, frees;
    uint64_t allocated_bytes;
    uint64_t usable_bytes; /* estimate: as the allocator counts them */
    uint64_t rss_bytes;    /* of the process, 0: unknown */
    uint64_t heap_bytes;   /* what the allocator has from the kernel, or 0 */
    uint64_t agent_bytes;  /* resident memory of the agent itself */
};

enum { HKR_SCAN_EXACT = 1 };
enum hkr_scan_status {
    HKR_SCAN_DONE,
    HKR_SCAN_DENIED,  /* clone refused */
    HKR_SCAN_HUNG,    /* the watchdog killed the child */
    HKR_SCAN_CRASHED, /* the child died */
    HKR_SCAN_NO_MEMORY,
    HKR_SCAN_TRUNCATED, /* more findings than fit; those kept are right */
    HKR_SCAN_SKIPPED /* did not run: see reason; told when the reason changes */
};
enum hkr_scan_method {
    HKR_SCAN_SNAPSHOT, /* of a clone of the process */
    HKR_SCAN_COPY      /* of fields copied while the program runs */
};
struct hkr_scan {
    uint32_t kind, status;
    uint32_t generation, pad;
    uint64_t time_ns;
    uint64_t objects, edges, unreachable;
    uint64_t child_ns, pause_ns, predicted_pause_ns;
    uint64_t suspects, confirmed; /* cycles: new or unproven, and proven */
    uint64_t resurrected; /* earlier suspects found reachable or changed */
    uint64_t unknown_edges; /* to pointers that are not registered */
    uint64_t skipped_objects; /* faulted, or died during the snapshot */
    uint64_t excess_edges;  /* objects with more edges than references */
    uint32_t culprit;       /* string: the type whose traverse failed, or 0 */
    /* Since version 1.3. */
    uint32_t method;         /* enum hkr_scan_method */
    uint32_t reason;         /* string: why it failed or did not run, or 0 */
    uint32_t pad2;
    uint64_t opaque_objects; /* whose references a copy cannot read */
    uint64_t ignored;        /* cycles with a member that is hk_ignore()d */
    uint64_t memory_bytes;   /* of its tables, given back after */
    uint64_t wall_ns;        /* from its start to its end */
};

/* Kinds of hkr_mistake, the HK_ERROR_* of heapknot.h. */
enum hkr_mistake_kind {
    HKR_MISTAKE_UNDERFLOW = 1,
    HKR_MISTAKE_DEAD = 2,
    HKR_MISTAKE_SATURATED = 3,
    HKR_MISTAKE_NULL = 4,
    HKR_MISTAKE_NO_TYPE = 5,
    HKR_MISTAKE_TRACKED_TWICE = 6,
    HKR_MISTAKE_ADOPTED_TWICE = 7,
    HKR_MISTAKE_FREED = 8,
    HKR_MISTAKE_PUT_TWICE = 9,
    HKR_MISTAKE_TOO_MANY_EDGES = 10,
    HKR_MISTAKE_UNRAISABLE = 11
};
/* Since version 1.2, as hkr_hold. */
struct hkr_mistake {
    uint32_t kind; /* enum hkr_mistake_kind; 0: empty */
    uint32_t what; /* string */
    uint32_t type; /* 0: unknown */
    uint32_t here, origin, last; /* stacks */
    uint64_t count;
    uint64_t first_ns, last_ns; /* when it was made first and last */
    uint64_t address; /* of the first one's object; 0: there was none */
};

enum { HKR_HOLD_ROOT = 1 };
struct hkr_hold {
    uint32_t name; /* string */
    uint32_t type; /* 0: unknown */
    uint32_t stack;
    uint32_t flags;
    uint64_t live, ever;
    uint64_t oldest_ns; /* when the oldest live one was made; 0: none lives */
};

enum { HKR_GROUP_SUSPECT = 1, HKR_GROUP_CONFIRMED = 2 };
/*
 * A group of cycles of one shape.  After the struct follow member_count
 * hkr_member, edge_count hkr_edge, created_count and then released_count
 * hkr_site; then a hkr_group_more and its note_count ids of strings:
 * hk_annotate()'s of the members, 0: none.  The shape is that of a strongly
 * connected component: its types and the labels of the edges inside it.
 * fingerprint is a hash of type names and labels, the same in every run.
 */
struct hkr_group {
    uint32_t bytes; /* of the whole frame, a multiple of 8 */
    uint32_t state;
    uint64_t fingerprint;
    uint64_t instances;      /* confirmed and suspect */
    uint64_t confirmed;      /* of those, confirmed */
    uint64_t instance_bytes; /* of one instance */
    uint64_t held_objects, held_bytes; /* what else would go with all
                                          instances: nothing outside of an
                                          instance leads to it */
    uint64_t first_seen_ns, confirmed_ns;
    uint32_t first_scan, last_scan; /* ids in SCAN */
    uint32_t member_count; /* shown, of one instance */
    uint32_t edge_count;   /* shown */
    uint32_t created_count, released_count;
    uint64_t objects; /* of one instance; more than member_count if cut */
};
/* Since version 1.3, behind the sites. */
struct hkr_group_more {
    uint64_t first_instances;        /* when the shape was first seen */
    uint64_t oldest_ns, youngest_ns; /* births, of all instances' members */
    uint64_t nested_bytes; /* of what all instances are and hold: what counts in
                              held_bytes of another group, too */
    uint32_t note_count;   /* 0 or member_count */
    uint32_t pad;
};
struct hkr_member {
    uint64_t refcount, known; /* known: references found as edges */
    uint64_t bytes, address;  /* of one example */
    uint32_t type;
    uint32_t born_ms; /* since version 1.3: of the example; births in one ms
                         are told as successive ones, in their order */
};
struct hkr_edge {
    uint32_t from, to; /* index of a member */
    uint32_t label;    /* string */
    int32_t index;     /* in an array, or -1 */
};
struct hkr_site {
    uint64_t count; /* objects of all instances */
    uint32_t stack; /* 0: unknown */
    uint32_t type;
};

/*
 * Since version 1.3: the objects of one type in the last scan of all objects.
 * There is one for types that grow, types in cycles, and what was asked for.
 * After the struct follow referrer_count hkr_referrer, then path_count paths,
 * each a struct hkr_path and its step_count hkr_step.
 */
struct hkr_census {
    uint32_t bytes; /* of the whole frame, a multiple of 8 */
    uint32_t type;
    uint32_t scan; /* id in SCAN */
    uint32_t referrer_count, path_count;
    uint32_t flags;      /* enum below */
    uint64_t objects;    /* of the type */
    uint64_t lost;       /* of those, unreachable */
    uint64_t outside;    /* of those, with references that are not known */
    uint64_t references; /* to them, in all */
    uint64_t known;      /* of those, found as fields of objects */
};
enum { HKR_CENSUS_ASKED = 1 }; /* by HKR_CMD_WHY */
/* Edges to objects of the type, by field.  The other objects of from may have
   the field empty. */
struct hkr_referrer {
    uint64_t edges;
    uint64_t sole; /* of those, the only reference of a target that is
                      reachable: were the field weak, it would die */
    uint32_t from;  /* type */
    uint32_t label; /* string, 0: unknown */
};
/* From an object with references that are not known, a root, to one object of
   the type: the last step.  Each step's label is the field of the step before
   in which it was found. */
struct hkr_path {
    uint64_t refcount, known; /* of the root */
    uint32_t step_count;
    uint32_t left_out; /* steps in the middle that are not shown, after half
                          of step_count */
};
struct hkr_step {
    uint64_t address;
    uint32_t type;
    uint32_t label;   /* string, 0: unknown */
    int32_t index;    /* in an array, or -1 */
    uint32_t created; /* stack */
    uint32_t note;    /* string: hk_annotate()'s, 0: none */
    uint32_t pad;
};

/*
 * Since version 1.3: references to objects of the types in refs= that live, by
 * call stack.  What an object's stacks did goes out again when it dies, so that
 * only those that are still there count.  A birth is an increment.
 */
struct hkr_balance {
    uint32_t type;
    uint32_t stack; /* 0: unknown */
    uint64_t increments, decrements;
};

#endif
