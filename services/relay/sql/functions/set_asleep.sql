-- Records whether the relay waits for a notification (true) or polls (false).
CREATE OR REPLACE FUNCTION outbox.set_asleep(asleep boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO outbox.relay_state AS s (asleep) VALUES (set_asleep.asleep)
    ON CONFLICT (only_row) DO UPDATE SET asleep = excluded.asleep
$$;
