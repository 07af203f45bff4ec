-- Records whether the relay sleeps. Only a relay of the previous version calls it.
CREATE OR REPLACE FUNCTION outbox.set_asleep(asleep boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO outbox.relay_state AS s (asleep) VALUES (set_asleep.asleep)
    ON CONFLICT (only_row) DO UPDATE SET asleep = excluded.asleep
$$;
