-- migrate:up transaction:false
-- No statement searches for refusals by their effect: review_decision_unreported finds them.
DROP INDEX CONCURRENTLY IF EXISTS payments.review_decision_requested;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS review_decision_requested
    ON payments.review_decision (transfer_id) WHERE effect = 'REQUESTED';
