-- Schema chassis of databases bp_write, bp_notifications, bp_audit, bp_auth as the migrations of
-- services/chassis make it. `make gen` writes this file and `make check` compares it; nothing runs
-- it. Each function is in functions/. The partitions that hold one month are left out; a function
-- makes them.

CREATE SCHEMA chassis;
ALTER SCHEMA chassis OWNER TO postgres;

-- One key of a batch, as the key tables of the services hold it.
CREATE TYPE chassis.request_key AS (
    shard smallint,
    customer_id uuid,
    idempotency_key text,
    fingerprint bytea,
    transfer_id uuid
);
ALTER TYPE chassis.request_key OWNER TO postgres;

GRANT USAGE ON SCHEMA chassis TO PUBLIC;

-- functions/drop_months.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.drop_months(regclass, interval) TO PUBLIC;

-- functions/ensure_months.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.ensure_months(regclass, integer, timestamp with time zone,
    regproc) TO PUBLIC;

-- functions/holds_month.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.holds_month(regclass, name, timestamp with time zone) TO PUBLIC;

-- functions/id_floor.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.id_floor(timestamp with time zone) TO PUBLIC;

-- functions/make_month.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.make_month(regclass, name, text, timestamp with time zone,
    regproc) TO PUBLIC;

-- functions/take_keys.sql, owned by postgres
GRANT EXECUTE ON FUNCTION chassis.take_keys(regclass, chassis.request_key[]) TO PUBLIC;
