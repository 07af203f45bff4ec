-- migrate:up

-- Submitted transfers are asked for at the clearing house when no notice of them comes: the row's
-- `lease_until` says when, as it does for the pending ones.
CREATE INDEX interbank_transfer_unsettled ON payments.interbank_transfer (lease_until)
    WHERE state = 'SUBMITTED';

-- What was submitted before has a lease there that nobody needed; six days is the default wait.
UPDATE payments.interbank_transfer SET lease_until = update_time + interval '6 days'
WHERE state = 'SUBMITTED';

-- migrate:down
DROP INDEX payments.interbank_transfer_unsettled;
