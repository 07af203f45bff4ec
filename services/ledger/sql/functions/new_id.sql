-- Returns a new UUIDv7 in a shard.
CREATE OR REPLACE FUNCTION ledger.new_id(shard integer) RETURNS uuid
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
AS $$
    SELECT encode(set_byte(bytes, 15, (get_byte(bytes, 15) & 192) | (shard & 63)), 'hex')::uuid
    FROM (SELECT uuid_send(uuidv7())) AS drawn (bytes)
$$;
