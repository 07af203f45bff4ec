-- migrate:up

-- A record of a chain without a partition of audit-logs was never signed or verified, so an
-- attacker with the service's login could invent records. The next migration reads existing rows.

ALTER TABLE audit.record ADD CONSTRAINT record_chain_exists CHECK (chain < 12) NOT VALID;

-- migrate:down
ALTER TABLE audit.record DROP CONSTRAINT record_chain_exists;
