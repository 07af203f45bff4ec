-- migrate:up

-- The queue of transfers that a person has to review, and what the person decided. The column
-- fraud_review now means that the review is open; a decision ends it.

GRANT USAGE ON SCHEMA payments TO bp_reviewer;
GRANT EXECUTE ON FUNCTION ledger.shard_of(uuid) TO payments_owner;

SET ROLE payments_owner;

CREATE INDEX interbank_transfer_in_review ON payments.interbank_transfer (transfer_id)
    WHERE fraud_review;

COMMENT ON INDEX payments.interbank_transfer_in_review IS
    'For the transfers that a person has to review, oldest first.';
COMMENT ON COLUMN payments.interbank_transfer.fraud_review IS
    'Whether a person still has to review the transfer: the fraud service asked for it, or did not '
    'answer.';

CREATE TABLE payments.review_decision (
    transfer_id uuid NOT NULL PRIMARY KEY,
    decision    text NOT NULL CHECK (decision IN ('CLEARED', 'REFUSED')),
    effect      text NOT NULL CHECK (effect IN
        ('NONE', 'REQUESTED', 'CANCELLING', 'TOO_LATE', 'NOT_NEEDED')),
    reviewer    text NOT NULL CHECK (reviewer <> '' AND octet_length(reviewer) <= 128),
    note        text NOT NULL CHECK (note <> '' AND octet_length(note) <= 2000),
    decide_time timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX review_decision_requested ON payments.review_decision (transfer_id)
    WHERE effect = 'REQUESTED';

COMMENT ON TABLE payments.review_decision IS
    'What a person decided about a transfer in review, never changed except for effect.';
COMMENT ON COLUMN payments.review_decision.effect IS
    'What a refusal did: REQUESTED until payments takes it up, then CANCELLING (the clearing house '
    'is asked, and the state of the transfer says whether it agreed), TOO_LATE when the transfer '
    'had settled, NOT_NEEDED when the customer had been credited again. NONE for CLEARED.';
COMMENT ON INDEX payments.review_decision_requested IS
    'For the refusals that payments has to take up.';

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

-- Sets what a refusal did. Only a refusal that was not taken up yet is changed.
CREATE FUNCTION payments.set_review_effect(transfer_id uuid, effect text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.review_decision r SET effect = set_review_effect.effect
    WHERE r.transfer_id = set_review_effect.transfer_id AND r.effect = 'REQUESTED'
$$;

GRANT EXECUTE ON FUNCTION payments.decide_review(uuid, text, text, text) TO bp_reviewer;
GRANT EXECUTE ON FUNCTION payments.set_review_effect(uuid, text) TO bp_payments;
GRANT SELECT ON payments.review_decision TO bp_payments;

RESET ROLE;

-- migrate:down
DROP FUNCTION payments.set_review_effect(uuid, text);
DROP FUNCTION payments.decide_review(uuid, text, text, text);
DROP TABLE payments.review_decision;
DROP INDEX payments.interbank_transfer_in_review;
REVOKE EXECUTE ON FUNCTION ledger.shard_of(uuid) FROM payments_owner;
REVOKE USAGE ON SCHEMA payments FROM bp_reviewer;
