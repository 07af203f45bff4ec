-- migrate:up

-- What several services do in SQL, the same in each database: monthly partitions of the tables that
-- grow with time, and the idempotency keys of a batch.

CREATE SCHEMA chassis;

-- Returns the smallest UUIDv7 of an instant, so that a range of time becomes a range of ids.
CREATE FUNCTION chassis.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- Returns whether a default partition (NULL: there is none) already holds rows of a month. Such a
-- month gets no partition, because PostgreSQL refuses one.
CREATE FUNCTION chassis.holds_month(
    default_partition regclass, key_column name, month timestamptz
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    held boolean := false;
BEGIN
    IF default_partition IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= $1 AND %I < $2)',
            default_partition, key_column, key_column)
        INTO held
        USING chassis.id_floor(month), chassis.id_floor(month + interval '1 month');
    END IF;
    RETURN held;
END $$;

-- Makes the partition of one month, under the name `partition` in its parent's schema. It creates a
-- table like the parent and then attaches it. Unlike CREATE TABLE ... PARTITION OF, that blocks
-- neither readers nor writers of the parent; it locks only a default partition, until the commit.
-- `finish` names a function over regclass that adds what LIKE does not copy, such as statement
-- triggers.
CREATE FUNCTION chassis.make_month(
    parent regclass, schema name, partition text, month timestamptz, finish regproc
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    made text := format('%I.%I', schema, partition);
BEGIN
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', made, parent);
    IF finish IS NOT NULL THEN
        EXECUTE format('SELECT %s($1)', finish) USING made::regclass;
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, made,
        chassis.id_floor(month), chassis.id_floor(month + interval '1 month'));
END $$;

-- Makes the missing monthly partitions of `parent`, from the month before `since` to `months_ahead`
-- after it, and returns how many it made. `parent` is partitioned by ranges of UUIDv7. It runs with
-- the rights of its caller, a function of the table's owner. The limits bound the locks that one
-- call takes, and keep a wrong time from making useless months.
CREATE FUNCTION chassis.ensure_months(
    parent regclass, months_ahead integer, since timestamptz, finish regproc DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    of_parent record;
    made integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 60
        OR since NOT BETWEEN now() - interval '10 years' AND now() + interval '10 years'
    THEN
        RAISE EXCEPTION 'no partitions for % months after %: at most 60 months, within 10 years',
            months_ahead, since USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('chassis.ensure_months', parent::bigint));
    SELECT n.nspname AS schema, c.relname AS name, a.attname AS key_column,
        nullif(p.partdefid, 0)::regclass AS default_partition
    INTO STRICT of_parent
    FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = parent;
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := of_parent.name || '_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('%I.%I', of_parent.schema, partition)) IS NOT NULL;
        CONTINUE WHEN chassis.holds_month(
            of_parent.default_partition, of_parent.key_column, month);
        PERFORM chassis.make_month(parent, of_parent.schema, partition, month, finish);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- One key of a batch, as the key tables of the services hold it.
CREATE TYPE chassis.request_key AS (
    shard           smallint,
    customer_id     uuid,
    idempotency_key text,
    fingerprint     bytea,
    transfer_id     uuid
);
COMMENT ON TYPE chassis.request_key IS
    'One key of a batch, as the key tables of the services hold it.';

-- Takes idempotency keys in `store`, the key table of a service. It returns the transfers whose key
-- was free. Keys are taken in the order of the table's primary key and before any account is
-- locked, here and in every other function, so that two batches cannot deadlock. Of two equal keys
-- in a batch the first is taken. It runs with the rights of its caller.
CREATE FUNCTION chassis.take_keys(store regclass, keys chassis.request_key[])
RETURNS uuid[]
LANGUAGE plpgsql
AS $$
DECLARE
    taken uuid[];
BEGIN
    EXECUTE format($sql$
        WITH taken AS (
            INSERT INTO %s (shard, customer_id, idempotency_key, fingerprint, transfer_id)
            SELECT k.shard, k.customer_id, k.idempotency_key, k.fingerprint, k.transfer_id
            FROM unnest($1) WITH ORDINALITY k
            ORDER BY 1, 2, 3, k.ordinality
            ON CONFLICT DO NOTHING
            RETURNING transfer_id)
        SELECT array_agg(transfer_id) FROM taken $sql$, store)
    INTO taken
    USING keys;
    RETURN coalesce(taken, '{}');
END $$;

-- The functions run with the rights of their caller, so they give no access to a table.
GRANT USAGE ON SCHEMA chassis TO PUBLIC;

-- migrate:down
DROP SCHEMA chassis CASCADE;
