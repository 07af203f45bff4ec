-- migrate:up

-- A row that stays locked fails the statement after a second, so that it does not take a connection
-- for long.

ALTER FUNCTION payments.debit SET lock_timeout = '1s';
ALTER FUNCTION payments.advance SET lock_timeout = '1s';

-- migrate:down
ALTER FUNCTION payments.debit RESET lock_timeout;
ALTER FUNCTION payments.advance RESET lock_timeout;
