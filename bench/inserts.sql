-- SPDX-License-Identifier: BSD-2-Clause
--
-- inserts.sql -- rows, an index, questions: for the sqlite3 shell in memory.
-- The runner puts the number of rows in the place of ROWS.
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER, body TEXT);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ROWS)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % ROWS), i * 31 % 1000,
    printf('%.*c', 20 + i % 80, 'x') FROM c;
CREATE INDEX by_name ON t (name);
CREATE INDEX by_n ON t (n, body);
SELECT count(DISTINCT name), sum(length(body)) FROM t;
SELECT n, count(*), group_concat(substr(name, 1, 8)) FROM t GROUP BY n
    ORDER BY 2 DESC, 1 LIMIT 3;
SELECT count(*) FROM t a JOIN t b ON b.name = a.name AND b.n = a.n;
SELECT sum(json_extract(json_object('id', id, 'n', n), '$.n')) FROM t;
