#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The three walls: who may include whom; and what the sources must look like.
. "$(dirname "$0")/../tap/tap.sh"
cd "$TOP" || exit 255

includes() { # FOLDER PATTERN: lines in that folder that include it
    grep -nE "#include [\"<]$2" "$1"/*.c "$1"/*.h 2>/dev/null
}

is_str "" "$(includes agent 'reporter/')" "agent/ does not include reporter/"
is_str "" "$(includes reporter '(agent|lib)/')" \
    "reporter/ includes neither agent/ nor lib/"
is_str "" "$(includes lib '(agent|reporter|format)/')" \
    "lib/ includes neither agent/ nor reporter/ nor format/"
is_str "#include <stdint.h>" "$(grep -hE '^#include' format/*.h | sort -u)" \
    "format/ depends on <stdint.h> alone"
is_str "" "$(grep -nE '^#include <(stdio|locale|wchar|syslog)\.h>' agent/*.[ch])" \
    "agent/ includes no stdio"

sources=$(find agent lib reporter include format tbl examples tests \
    -name '*.[ch]' -o -name '*.cc' | sort)
# shellcheck disable=SC2086 # a list of names
{
    is_str "" "$(grep -L 'SPDX-License-Identifier: BSD-2-Clause' $sources |
        xargs)" "every source names its licence"
    is_str "" "$(grep -nE '^[^"]*[^:"]//' $sources | grep -v 'http' |
        head -n 5)" "comments are /* */"
    is_str "" "$(grep -nEi '\b(todo|fixme|xxx)\b' $sources | head -n 5)" \
        "nothing is left to do in a comment"
    is_str "" "$(perl -CSD -lne 'print "$ARGV:$." if length > 80;
        close ARGV if eof' $sources | grep -v '^tbl/' | head -n 5)" \
        "no line is longer than 80 columns"
}
is_str "" "$(wc -l agent/*.[ch] lib/*.[ch] reporter/*.[ch] |
    awk '$1 > 600 && $2 != "total" { print $2 }' | xargs)" \
    "no file is longer than 600 lines"
is_str "" "$(grep -rnIE '(^|[^A-Za-z0-9_.])/(work|farm|root)/' \
    --exclude-dir=.git --exclude=.git --exclude-dir='*build*' --exclude-dir=autom4te.cache . |
    grep -v '^./tests/house/layers.t' | grep -v '^./configure' |
    grep -vE '^\./(build-aux|config\.)' | head -n 3)" \
    "no path of a machine"
done_testing
