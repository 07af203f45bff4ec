-- migrate:up

-- A reviewer's name is what the person types. The operating-system user is recorded next to it.
SET ROLE payments_owner;

ALTER TABLE payments.review_decision ADD COLUMN os_user text
    CHECK (os_user <> '' AND octet_length(os_user) <= 128);
COMMENT ON COLUMN payments.review_decision.reviewer IS 'The name that the reviewer gave.';
COMMENT ON COLUMN payments.review_decision.os_user IS
    'The operating-system user who ran bpctl, with the user id; NULL for decisions of versions '
    'that did not record it.';

-- Only bpctl calls it, for a person, who can repeat the decision.
-- squawk-ignore dropped-function
DROP FUNCTION payments.decide_review(uuid, text, text, text);
-- Records what a person decided about a transfer in review, and takes the transfer out of the
-- queue. `reviewer` is the name that the person gives, and `os_user` the operating-system user of
-- bpctl; NULL from the previous version. Returns the effect, or NULL when the transfer is not in
-- the queue. Raises invalid_parameter_value for a name that no screen can show, and
-- raise_exception when the reviewer is the beneficiary.
CREATE FUNCTION payments.decide_review(
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

GRANT EXECUTE ON FUNCTION payments.decide_review(uuid, text, text, text, text) TO bp_reviewer;

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP FUNCTION payments.decide_review(uuid, text, text, text, text);
-- Records what a person decided about a transfer in review, and takes the transfer out of the
-- queue. Returns the effect, or NULL when the transfer is not in the queue.
CREATE FUNCTION payments.decide_review(
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

GRANT EXECUTE ON FUNCTION payments.decide_review(uuid, text, text, text) TO bp_reviewer;
COMMENT ON COLUMN payments.review_decision.reviewer IS NULL;
ALTER TABLE payments.review_decision DROP COLUMN os_user;

RESET ROLE;
