-- migrate:up

-- The number under which other banks pay an account in. Accounts that exist get the next numbers.
CREATE SEQUENCE customers.account_number START 1000000001 MAXVALUE 9999999999;
ALTER TABLE customers.account
    ADD COLUMN account_number text NOT NULL DEFAULT nextval('customers.account_number')::text
        CONSTRAINT account_account_number_check CHECK (account_number ~ '^[0-9]{10}$');
ALTER TABLE customers.account ADD CONSTRAINT account_account_number_key UNIQUE (account_number);
ALTER SEQUENCE customers.account_number OWNED BY customers.account.account_number;
COMMENT ON COLUMN customers.account.account_number IS
    'The number under which other banks pay the account in, ten digits.';
COMMENT ON SEQUENCE customers.account_number IS 'The next account number.';

-- migrate:down
ALTER TABLE customers.account DROP COLUMN account_number;
