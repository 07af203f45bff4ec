-- migrate:up

-- Trace numbers are compared every few seconds, and a process that is killed does not compare its
-- last ones. The mark says from when on its next process has to.
SET ROLE payments_owner;

CREATE TABLE payments.traces_compared (
    slot    text NOT NULL PRIMARY KEY CHECK (octet_length(slot) BETWEEN 1 AND 128),
    through timestamptz NOT NULL
);
COMMENT ON TABLE payments.traces_compared IS
    'How far each worker''s new trace numbers are compared with those of other transfers.';
COMMENT ON COLUMN payments.traces_compared.slot IS 'The name of the worker, as in lease_owner.';
COMMENT ON COLUMN payments.traces_compared.through IS
    'Trace numbers that the worker learned before are compared.';

GRANT SELECT, INSERT, UPDATE ON payments.traces_compared TO bp_payments;
GRANT SELECT ON payments.traces_compared TO bp_judge;

RESET ROLE;

-- migrate:down
DROP TABLE payments.traces_compared;
