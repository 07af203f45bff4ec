-- migrate:up

-- Logins of services reach the books and the outbox only through functions of their own schema,
-- which run as the schema's owner. The migrations of this service are the last of the database, so
-- functions of earlier versions, which run as their caller, are replaced by now. No process uses
-- the rights that are taken.

-- squawk-ignore revoked-right
REVOKE EXECUTE ON FUNCTION
    ledger.credit(uuid, text, bigint), ledger.credit_internal(text, text, bigint),
    ledger.debit(uuid, text, bigint), ledger.debit_internal(text, text, bigint),
    ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.post(uuid, text, uuid, ledger.leg[]), ledger.post_group(ledger.posting[]),
    ledger.open_account(uuid, text), ledger.balance(uuid), ledger.internal_balance(text, text),
    ledger.new_id(integer)
    FROM bp_payments, bp_transfers;
-- squawk-ignore revoked-right
REVOKE EXECUTE ON FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean),
    ledger.ensure_partitions(integer, timestamptz) FROM bp_payments;
-- squawk-ignore revoked-right
REVOKE EXECUTE ON FUNCTION
    outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[]),
    outbox.append_group(text, outbox.draft[])
    FROM bp_payments, bp_transfers;
-- squawk-ignore revoked-right
REVOKE USAGE ON SCHEMA outbox FROM bp_payments, bp_transfers;

-- migrate:down
GRANT USAGE ON SCHEMA outbox TO bp_payments, bp_transfers;
GRANT EXECUTE ON FUNCTION
    outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[]),
    outbox.append_group(text, outbox.draft[])
    TO bp_payments, bp_transfers;
GRANT EXECUTE ON FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean),
    ledger.ensure_partitions(integer, timestamptz) TO bp_payments;
GRANT EXECUTE ON FUNCTION
    ledger.credit(uuid, text, bigint), ledger.credit_internal(text, text, bigint),
    ledger.debit(uuid, text, bigint), ledger.debit_internal(text, text, bigint),
    ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.post(uuid, text, uuid, ledger.leg[]), ledger.post_group(ledger.posting[]),
    ledger.open_account(uuid, text), ledger.balance(uuid), ledger.internal_balance(text, text),
    ledger.new_id(integer)
    TO bp_payments, bp_transfers;
