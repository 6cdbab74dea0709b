/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recstream.h -- private to recfile.c; the functions of recstream.c are in
 * recfile.h.
 */
#ifndef HK_AGENT_RECSTREAM_H
#define HK_AGENT_RECSTREAM_H

#define RECSTREAM_COUNT 3u /* TIME, FIND, GRPH */

int recstream_start(void);

#endif
