-- migrate:up

-- What a reviewer decided goes to the audit trail. Decisions of earlier versions get their event
-- too. The function set_review_effect and its index stay for processes of the previous version.
SET ROLE payments_owner;

ALTER TABLE payments.review_decision ADD COLUMN event_id uuid;
COMMENT ON TABLE payments.review_decision IS
    'What a person decided about a transfer in review, never changed except for effect and '
    'event_id.';
COMMENT ON COLUMN payments.review_decision.event_id IS
    'The id of the event TransferReviewed; NULL until payments has written it.';

CREATE INDEX review_decision_unreported ON payments.review_decision (transfer_id)
    WHERE event_id IS NULL;
COMMENT ON INDEX payments.review_decision_unreported IS
    'For the decisions that payments has to carry out and report.';

-- Saves the effect of a reviewer's decision and writes its event. Returns false and changes nothing
-- when the event is written already. Nothing is locked, so the event is ordered with no other event
-- of the account.
CREATE FUNCTION payments.report_review(
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

GRANT EXECUTE ON FUNCTION payments.report_review(uuid, text, uuid, bytea) TO bp_payments;

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP FUNCTION payments.report_review(uuid, text, uuid, bytea);
DROP INDEX payments.review_decision_unreported;
ALTER TABLE payments.review_decision DROP COLUMN event_id;
COMMENT ON TABLE payments.review_decision IS
    'What a person decided about a transfer in review, never changed except for effect.';

RESET ROLE;
