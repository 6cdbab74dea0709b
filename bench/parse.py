# SPDX-License-Identifier: BSD-2-Clause
#
# parse.py [TIMES] -- parses one JSON text of a megabyte TIMES times.
import json
import sys

text = json.dumps([{"id": i, "name": "name %d" % i, "tags": [str(i)] * 5,
                    "at": {"x": i / 7, "y": [i, i + 1, None, True]}}
                   for i in range(8000)])
for _ in range(int(sys.argv[1])):
    json.loads(text)
