-- Saves the effect of a reviewer's decision and writes its event. Returns false and changes nothing
-- when the event is written already. It locks nothing, so the event has no defined order among the
-- account's other events.
CREATE OR REPLACE FUNCTION payments.report_review(
    transfer_id uuid, effect text, event_id uuid, payload bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    reviewed record;
BEGIN
    UPDATE payments.review_decision r
    SET effect = report_review.effect, event_id = report_review.event_id
    WHERE r.transfer_id = report_review.transfer_id AND r.event_id IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT t.account_id, t.traceparent INTO STRICT reviewed
    FROM payments.interbank_transfer t
    WHERE t.shard = ledger.shard_of(report_review.transfer_id)
      AND t.transfer_id = report_review.transfer_id;
    PERFORM outbox.append('payments', reviewed.account_id, event_id,
        'bp.payments.v1.TransferReviewed', transfer_id, payload, reviewed.traceparent);
    RETURN true;
END $$;
