#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# hour.t -- make check-hour: a service of 1 GiB with a scan each minute for an
# hour.  Holds if the agent's own memory does not grow after the first scans;
# how that is measured: tests/scenario/steady.t.
#
# MINUTES=N and MIB=N ask for less.
MIB=${MIB:-1024} SCANS=${MINUTES:-60} SCAN_INTERVAL=60s PERIOD=10 \
    exec "$(dirname "$0")/../scenario/steady.t"
