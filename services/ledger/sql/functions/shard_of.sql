-- Returns the shard of any id: the low six bits of its last byte. It is plain SQL so that
-- PostgreSQL inlines it.
CREATE OR REPLACE FUNCTION ledger.shard_of(id uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (get_byte(uuid_send(id), 15) & 63)::smallint $$;
