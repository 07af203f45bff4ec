-- Records what a person decided about a transfer in review, and takes the transfer out of the
-- queue. Returns the effect, or NULL when the transfer is not in the queue.
CREATE OR REPLACE FUNCTION payments.decide_review(
    transfer_id uuid, decision text, reviewer text, note text
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    reached text;
    effect text;
BEGIN
    UPDATE payments.interbank_transfer t SET fraud_review = false
    WHERE t.shard = ledger.shard_of(decide_review.transfer_id)
      AND t.transfer_id = decide_review.transfer_id AND t.fraud_review
    RETURNING t.state INTO reached;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    effect := CASE
        WHEN decision = 'CLEARED' THEN 'NONE'
        WHEN reached = 'COMPLETED' THEN 'TOO_LATE'
        WHEN reached IN ('FAILED', 'CANCELLED', 'RETURNED') THEN 'NOT_NEEDED'
        ELSE 'REQUESTED' END;
    INSERT INTO payments.review_decision (transfer_id, decision, effect, reviewer, note)
    VALUES (transfer_id, decision, effect, reviewer, note);
    RETURN effect;
END $$;
