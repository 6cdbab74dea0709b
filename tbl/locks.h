/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * locks.h -- every lock of the agent, in the order in which they nest.
 * (The stripes of balance.c have one each; nothing is taken under them.)
 * HK_LOCK(name, "what it protects")
 */
HK_LOCK(publish, "the recording file, and everything only publishing touches")
HK_LOCK(scan, "the state that outlives a scan: suspects, groups")
HK_LOCK(modules, "the list of loaded objects")
HK_LOCK(intern, "insertion into the stack trie")
HK_LOCK(strings, "the table of strings")
HK_LOCK(index, "the spill table of the index, and making of index leaves")
HK_LOCK(rules, "growth of the table of frame rules")
HK_LOCK(unwind, "what libunwind's threads share: its pools of records")
HK_LOCK(notes, "the texts of hk_annotate")
