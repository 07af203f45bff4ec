-- migrate:up

-- The tables and types of this schema belong to a role that cannot log in and has no other right.
-- The function that makes partitions runs as this role, not as the superuser.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'payments_owner') THEN
        CREATE ROLE payments_owner NOLOGIN;
    END IF;
END $$;

GRANT USAGE ON SCHEMA ledger, outbox TO payments_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner IN SCHEMA payments
    GRANT SELECT ON TABLES TO bp_judge;

ALTER SCHEMA payments OWNER TO payments_owner;
ALTER TYPE payments.debit_order OWNER TO payments_owner;
ALTER TYPE payments.plain_step OWNER TO payments_owner;
ALTER TABLE payments.idempotency_key OWNER TO payments_owner;
ALTER TABLE payments.ach_notice OWNER TO payments_owner;
ALTER TABLE payments.late_return_check OWNER TO payments_owner;
ALTER TABLE payments.interbank_transfer OWNER TO payments_owner;
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent = 'payments.interbank_transfer'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO payments_owner', partition);
    END LOOP;
END $$;
ALTER FUNCTION payments.finish_partition(regclass) OWNER TO payments_owner;
ALTER FUNCTION payments.beneficiary(uuid) OWNER TO payments_owner;
ALTER FUNCTION payments.ensure_partitions(integer, timestamptz) OWNER TO payments_owner;

-- migrate:down
ALTER FUNCTION payments.ensure_partitions(integer, timestamptz) OWNER TO CURRENT_USER;
ALTER FUNCTION payments.beneficiary(uuid) OWNER TO CURRENT_USER;
ALTER FUNCTION payments.finish_partition(regclass) OWNER TO CURRENT_USER;
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent = 'payments.interbank_transfer'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO CURRENT_USER', partition);
    END LOOP;
END $$;
ALTER TABLE payments.interbank_transfer OWNER TO CURRENT_USER;
ALTER TABLE payments.late_return_check OWNER TO CURRENT_USER;
ALTER TABLE payments.ach_notice OWNER TO CURRENT_USER;
ALTER TABLE payments.idempotency_key OWNER TO CURRENT_USER;
ALTER TYPE payments.plain_step OWNER TO CURRENT_USER;
ALTER TYPE payments.debit_order OWNER TO CURRENT_USER;
ALTER SCHEMA payments OWNER TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner IN SCHEMA payments
    REVOKE SELECT ON TABLES FROM bp_judge;
ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
REVOKE USAGE ON SCHEMA ledger, outbox FROM payments_owner;
