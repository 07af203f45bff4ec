-- Returns the smallest UUIDv7 of an instant, so that a range of time becomes a range of ids.
CREATE OR REPLACE FUNCTION chassis.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;
