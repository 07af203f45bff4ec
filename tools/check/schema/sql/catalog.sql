-- name: schemas
-- The schemas of this database that migrations made.
SELECT nspname::text FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') ORDER BY nspname

-- name: functions
-- Every function of a schema and every function that this transaction wrote, with its owner and
-- the roles that may execute it.
SELECT p.proname::text AS name,
    format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) AS signature,
    CASE p.prokind
        WHEN 'a' THEN (SELECT to_jsonb(a)::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
        ELSE pg_get_functiondef(p.oid) END AS definition,
    pg_get_userbyid(p.proowner)::text AS owner,
    ARRAY(
        SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END
        FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
        WHERE g.grantee <> p.proowner ORDER BY 1) AS executors,
    w.written_now
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace,
LATERAL (
    SELECT coalesce(p.xmin = pg_current_xact_id_if_assigned()::xid, false)
) w (written_now)
WHERE n.nspname = $1 OR w.written_now
ORDER BY p.proname COLLATE "C", oidvectortypes(p.proargtypes) COLLATE "C"
