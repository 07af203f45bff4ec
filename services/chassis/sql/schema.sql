-- Schema partitioning of databases bp_write, bp_notifications, bp_audit as the migrations of
-- services/chassis make it. `make gen` writes this file and `make check` compares it; nothing runs
-- it. Each function is in functions/. The partitions that hold one month are left out; a function
-- makes them.

CREATE SCHEMA partitioning;
ALTER SCHEMA partitioning OWNER TO postgres;

GRANT USAGE ON SCHEMA partitioning TO PUBLIC;

-- functions/ensure_months.sql, owned by postgres
GRANT EXECUTE ON FUNCTION partitioning.ensure_months(regclass, integer, timestamp with time zone,
    regproc) TO PUBLIC;

-- functions/holds_month.sql, owned by postgres
GRANT EXECUTE ON FUNCTION partitioning.holds_month(regclass, name, timestamp with time zone) TO
    PUBLIC;

-- functions/id_floor.sql, owned by postgres
GRANT EXECUTE ON FUNCTION partitioning.id_floor(timestamp with time zone) TO PUBLIC;

-- functions/make_month.sql, owned by postgres
GRANT EXECUTE ON FUNCTION partitioning.make_month(regclass, name, text, timestamp with time zone,
    regproc) TO PUBLIC;
