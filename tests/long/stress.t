#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# stress.t -- make check-stress: a hundred runs of tests/scenario/stress.t in
# each way of scanning.  The last line but one has the totals.
#
# RUNS=N, SEED=N (any number: other schedules) and SECONDS_OF_STRESS=N.
RUNS=${RUNS:-100} SEED=${SEED:-1000} \
    exec "$(dirname "$0")/../scenario/stress.t"
