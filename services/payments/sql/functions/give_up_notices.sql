-- Ends the wait of kept notices that came before an instant, and returns them. Notices of the given
-- types whose transfer exists are left: they are about to be applied.
CREATE OR REPLACE FUNCTION payments.give_up_notices(before timestamptz, types text[])
RETURNS TABLE (
    notice_id text, type text, trace_number text, transfer_id uuid, return_code text
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.ach_notice n SET state = 'CONFLICT'
    WHERE n.state = 'KEPT' AND n.receive_time < before
      AND NOT (n.type = ANY (types)
        AND (EXISTS (SELECT FROM payments.interbank_transfer t
                     WHERE t.shard = ledger.shard_of(n.transfer_id)
                       AND t.transfer_id = n.transfer_id)
             OR n.transfer_id IS NULL AND EXISTS (
                 SELECT FROM payments.interbank_transfer t
                 WHERE t.trace_number = n.trace_number)))
    RETURNING n.notice_id, n.type, n.trace_number, n.transfer_id, n.return_code
$$;
