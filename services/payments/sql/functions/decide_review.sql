-- Records what a person decided about a transfer in review, and takes the transfer out of the
-- queue. `reviewer` is the name that the person gives, and `os_user` the operating-system user of
-- bpctl; NULL from the previous version. Returns the effect, or NULL when the transfer is not in
-- the queue. Raises invalid_parameter_value for a name that no screen can show, and
-- raise_exception when the reviewer is the beneficiary.
CREATE OR REPLACE FUNCTION payments.decide_review(
    transfer_id uuid, decision text, reviewer text, note text, os_user text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    reached text;
    beneficiary text;
    effect text;
BEGIN
    IF reviewer <> btrim(reviewer) OR reviewer = '' OR char_length(reviewer) > 64
        OR reviewer ~ '[[:cntrl:]]' OR os_user ~ '[[:cntrl:]]'
    THEN
        RAISE EXCEPTION 'a reviewer has a name of 1 to 64 characters without control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE payments.interbank_transfer t SET fraud_review = false
    WHERE t.shard = ledger.shard_of(decide_review.transfer_id)
      AND t.transfer_id = decide_review.transfer_id AND t.fraud_review
    RETURNING t.state, t.beneficiary_name INTO reached, beneficiary;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF lower(btrim(beneficiary)) = lower(reviewer) THEN
        RAISE EXCEPTION 'the reviewer has the name of the beneficiary';
    END IF;
    effect := CASE
        WHEN decision = 'CLEARED' THEN 'NONE'
        WHEN reached = 'COMPLETED' THEN 'TOO_LATE'
        WHEN reached IN ('FAILED', 'CANCELLED', 'RETURNED') THEN 'NOT_NEEDED'
        ELSE 'REQUESTED' END;
    INSERT INTO payments.review_decision (transfer_id, decision, effect, reviewer, note, os_user)
    VALUES (transfer_id, decision, effect, reviewer, note, os_user);
    RETURN effect;
END $$;
