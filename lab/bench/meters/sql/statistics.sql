-- name: statements
-- Every statement of roles other than the superuser, over all databases.
SELECT r.rolname AS role, s.queryid AS query_id, min(left(s.query, 400)) AS query,
    sum(s.calls)::bigint AS calls, sum(s.total_exec_time)::float8 AS ms
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
WHERE s.toplevel AND NOT r.rolsuper
GROUP BY r.rolname, s.queryid

-- name: totals
-- Bytes of the write-ahead log since its start, commits of all databases, and bytes that PostgreSQL
-- wrote: tables, indexes and the log. Each flush writes the last page of the log again.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal_bytes,
    (SELECT sum(xact_commit)::bigint FROM pg_stat_database) AS commits,
    (SELECT sum(coalesce(write_bytes, 0) + coalesce(extend_bytes, 0))::bigint
     FROM pg_stat_io WHERE object IN ('relation', 'wal')) AS written_bytes,
    (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS flushes
