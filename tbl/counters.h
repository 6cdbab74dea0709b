/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.h -- every number in the header of a recording.
 *
 * HK_COUNTER(name, kind, unit, "what it counts")
 *
 * name  enum HKC_<name>; the key in JSON.
 * kind  TOTAL: in totals{}.  LOSS: in losses{}, printed when not 0.
 *       COST: in cost{}.  FACT: for the reporter's own use.
 * unit  count, bytes or ns.
 *
 * The order is the order in the file: add at the end, never remove.
 */
HK_COUNTER(live_bytes, TOTAL, bytes, "bytes in live blocks, as requested")
HK_COUNTER(usable_bytes, TOTAL, bytes,
           "bytes in live blocks, as the allocator counts them (a sample)")
HK_COUNTER(live_blocks, TOTAL, count, "blocks allocated and not yet freed")
HK_COUNTER(allocations, TOTAL, count, "blocks ever allocated")
HK_COUNTER(frees, TOTAL, count, "blocks ever freed")
HK_COUNTER(allocated_bytes, TOTAL, bytes, "bytes ever allocated")
HK_COUNTER(stacks, TOTAL, count, "distinct call stacks")
HK_COUNTER(rss_bytes, FACT, bytes, "resident memory of the process")
HK_COUNTER(heap_bytes, FACT, bytes, "memory the allocator has from the kernel")
HK_COUNTER(threads_started, FACT, count, "threads seen to start")

HK_COUNTER(unknown_frees, LOSS, count,
           "frees of blocks that the agent had not seen allocated")
HK_COUNTER(reentrant_calls, LOSS, count,
           "allocations from inside the agent or a signal handler, not recorded")
HK_COUNTER(early_calls, FACT, count,
           "allocations before the agent was ready, not recorded")
HK_COUNTER(truncated_stacks, LOSS, count,
           "distinct stacks deeper than depth=, innermost frames kept")
HK_COUNTER(failed_unwinds, LOSS, count, "stacks that could not be captured")
HK_COUNTER(stack_table_full, LOSS, count,
           "allocations booked to no stack because the table was full or busy")
HK_COUNTER(index_full, LOSS, count,
           "blocks not indexed because memory= was reached or a map failed")
HK_COUNTER(huge_spilled, LOSS, count,
           "blocks over 4 GiB whose exact size was lost")
HK_COUNTER(arena_blocks, FACT, count,
           "blocks served from the bootstrap arena, not recorded")
HK_COUNTER(static_allocator, LOSS, count,
           "1 if the program has an allocator of its own inside it, unseen")
HK_COUNTER(deepbind, LOSS, count,
           "objects whose malloc is not the agent's (RTLD_DEEPBIND, dlmopen)")
HK_COUNTER(vforks, LOSS, count, "events seen in a vfork child")
HK_COUNTER(recording_full, LOSS, count,
           "records not written because max_file= or the disk was full")
HK_COUNTER(snapshots_thinned, LOSS, count,
           "timeline intervals merged to stay within max_file=")
HK_COUNTER(object_table_full, LOSS, count,
           "objects not registered because memory= was reached")
HK_COUNTER(objects_freed_raw, LOSS, count,
           "registered objects freed without being forgotten first")
HK_COUNTER(scans_skipped, LOSS, count,
           "scans put off to keep within pause_budget= or cpu_budget=")
HK_COUNTER(scans_failed, LOSS, count, "scans that could not be finished")
HK_COUNTER(marks_lost, LOSS, count, "marks not recorded")
HK_COUNTER(publishes_late, LOSS, count,
           "publications that took longer than publish= allows")

HK_COUNTER(agent_bytes, COST, bytes, "resident memory of the agent")
HK_COUNTER(publish_ns, COST, ns, "CPU spent publishing")
HK_COUNTER(publishes, COST, count, "publications")
HK_COUNTER(scan_cpu_ns, COST, ns, "CPU spent in scan children")
HK_COUNTER(pause_total_ns, COST, ns, "time the program was blocked by scans")
HK_COUNTER(pause_max_ns, COST, ns, "longest block of the program by a scan")
HK_COUNTER(scans, COST, count, "scans finished")
HK_COUNTER(interned_frames, COST, count, "frames in the stack trie")

HK_COUNTER(captures, COST, count, "call stacks captured")
HK_COUNTER(walked_frames, COST, count,
           "frames walked for them; the others were known from before")
HK_COUNTER(slow_captures, COST, count,
           "stacks that libunwind had to unwind (signal frames, PLT stubs)")
HK_COUNTER(verified_captures, FACT, count,
           "stacks compared with libunwind's (verify=unwind)")
HK_COUNTER(unwind_mismatches, LOSS, count,
           "of those, stacks that differed (verify=unwind)")
HK_COUNTER(sample_bytes, FACT, bytes,
           "mean distance of samples now, 0: every block is recorded")
HK_COUNTER(sampled_blocks, FACT, count, "blocks ever sampled")
HK_COUNTER(sample_changes, FACT, count,
           "times that overhead= changed the distance of samples")
HK_COUNTER(overhead_ppm, COST, count,
           "share of the program's CPU that recording took lately, in "
           "millionths (overhead=)")
HK_COUNTER(capture_ns, COST, ns,
           "time spent capturing stacks (one capture in 64 is timed)")
HK_COUNTER(mistakes, FACT, count,
           "mistakes that the program made with its objects")
HK_COUNTER(mistakes_lost, LOSS, count,
           "of those, mistakes whose place was not kept: there are too many")
HK_COUNTER(holds, FACT, count, "named references that stand, without roots")
HK_COUNTER(holds_lost, LOSS, count,
           "named references whose name or place was not kept")
HK_COUNTER(held_back_bytes, COST, bytes,
           "memory of dead objects that is given back later")
HK_COUNTER(refs_lost, LOSS, count,
           "increments and decrements of types in refs= whose place, or that "
           "themselves, were not kept")
HK_COUNTER(refs_given_up, LOSS, count,
           "objects of types in refs= whose references were not kept because "
           "memory= was reached")
