-- migrate:up

-- The service changes a balance and never moves it to another account.
-- All statements keep the columns that they change.
-- squawk-ignore revoked-right
REVOKE UPDATE ON customers.balance FROM bp_customers;
GRANT UPDATE (currency, balance, position) ON customers.balance TO bp_customers;

-- migrate:down
REVOKE UPDATE (currency, balance, position) ON customers.balance FROM bp_customers;
GRANT UPDATE ON customers.balance TO bp_customers;
