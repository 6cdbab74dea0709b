#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# reporter.t -- FUZZ_COUNT (10,000) broken recordings, see run.
exec "$(dirname "$0")/run"
