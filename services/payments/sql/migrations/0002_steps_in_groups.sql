-- migrate:up

-- Steps of several transfers in one statement and one commit, for steps that post nothing: with
-- no refusal of the ledger possible and no account locked, none can spoil or hold up the others.
-- Does for each what payments.advance does. Returns the events of the steps that were taken; a
-- transfer that is not at `expected_version` any more has none. Callers sort by transfer_id: rows
-- are locked in the order given, so two groups cannot deadlock.
CREATE FUNCTION payments.advance_group(
    transfer_ids uuid[], expected_versions integer[], next_states text[], trace_numbers text[],
    failure_reasons text[], return_codes text[], update_times timestamptz[],
    lease_untils timestamptz[], event_ids uuid[], event_types text[], payloads bytea[],
    responses bytea[]
) RETURNS TABLE (event_id uuid, accepted_response bytea)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- By key, row after row, whatever the statistics of a young table say.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH step AS MATERIALIZED (
        SELECT ledger.shard_of(s.transfer_id) AS shard, s.*
        FROM unnest(transfer_ids, expected_versions, next_states, trace_numbers, failure_reasons,
            return_codes, update_times, lease_untils, event_ids, event_types, payloads, responses)
            AS s (transfer_id, expected_version, next_state, trace_number, failure_reason,
                return_code, update_time, lease_until, event_id, event_type, payload, response)
    ), moved AS (
        UPDATE payments.interbank_transfer t
        SET state = s.next_state, version = t.version + 1, trace_number = s.trace_number,
            failure_reason = s.failure_reason, return_code = s.return_code,
            update_time = s.update_time, lease_until = s.lease_until, attempts = 0,
            accepted_response = coalesce(t.accepted_response, s.response)
        FROM step s
        WHERE t.shard = s.shard AND t.transfer_id = s.transfer_id
          AND t.version = s.expected_version
        RETURNING t.transfer_id, t.account_id, t.traceparent, t.accepted_response, s.event_id,
            s.event_type, s.payload
    ), told AS MATERIALIZED (
        SELECT m.event_id, m.accepted_response,
            outbox.append('payments', m.account_id, m.event_id, m.event_type, m.transfer_id,
                m.payload, m.traceparent) AS drawn
        FROM moved m
    )
    SELECT t.event_id, t.accepted_response FROM told t WHERE t.drawn IS NOT NULL;
END $$;

GRANT EXECUTE ON FUNCTION payments.advance_group(uuid[], integer[], text[], text[], text[], text[],
    timestamptz[], timestamptz[], uuid[], text[], bytea[], bytea[]) TO bp_payments;

-- migrate:down
DROP FUNCTION payments.advance_group;
