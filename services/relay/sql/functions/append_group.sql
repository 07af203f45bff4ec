-- Writes several events in addition to the changes that caused them, in the order given. Call it as
-- outbox.append, after all rows that the keys name are locked.
CREATE OR REPLACE FUNCTION outbox.append_group(topic text, drafts outbox.draft[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    odd uuid;
BEGIN
    SELECT d.event_id INTO odd FROM unnest(drafts) d
    WHERE (clock_timestamp() - uuid_extract_timestamp(d.event_id))
        BETWEEN interval '-1 day' AND interval '27 days' IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', odd
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    SELECT append_group.topic, d.key, d.event_id, d.event_type, d.subject, d.payload,
        d.traceparent, coalesce(d.positions, '{}')
    FROM unnest(drafts) d;
END $$;
