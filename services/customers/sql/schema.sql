-- Schema customers of database bp_customers as the migrations of services/customers make it. `make
-- gen` writes this file and `make check` compares it; nothing runs it. Each function is in
-- functions/. The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA customers;
ALTER SCHEMA customers OWNER TO postgres;

-- The next account number.
CREATE SEQUENCE customers.account_number
    START WITH 1000000001
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 9999999999
    CACHE 1;
ALTER SEQUENCE customers.account_number OWNER TO postgres;

GRANT USAGE ON SCHEMA customers TO bp_customers;
GRANT USAGE ON SCHEMA customers TO bp_judge;

-- Accounts of customers. An account's id carries the shard of its customer, so all rows of a
-- transfer are in one shard.
CREATE TABLE customers.account (
    account_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_type text NOT NULL,
    currency text DEFAULT 'USD'::text NOT NULL,
    state text DEFAULT 'ACTIVE'::text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    account_number text NOT NULL,
    CONSTRAINT account_account_number_check CHECK ((account_number ~ '^[0-9]{10}$'::text)),
    CONSTRAINT account_account_type_check CHECK ((account_type = ANY (ARRAY['CHECKING'::text,
        'SAVINGS'::text]))),
    CONSTRAINT account_currency_check CHECK ((currency = 'USD'::text)),
    CONSTRAINT account_in_shard_of_customer CHECK (((get_byte(uuid_send(account_id), 15) & 63) =
        (get_byte(uuid_send(customer_id), 15) & 63))),
    CONSTRAINT account_state_check CHECK ((state = ANY (ARRAY['ACTIVE'::text, 'FROZEN'::text,
        'CLOSED'::text])))
);
ALTER TABLE customers.account OWNER TO postgres;

ALTER SEQUENCE customers.account_number OWNED BY customers.account.account_number;

ALTER TABLE ONLY customers.account ALTER COLUMN account_number SET DEFAULT
    (nextval('customers.account_number'::regclass))::text;

ALTER TABLE ONLY customers.account
    ADD CONSTRAINT account_account_number_key UNIQUE (account_number);

ALTER TABLE ONLY customers.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account_id);

-- For the accounts of a customer, page by page, in the order they were opened.
CREATE INDEX account_by_customer ON customers.account USING btree (customer_id, account_id);

ALTER TABLE ONLY customers.account
    ADD CONSTRAINT account_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        customers.customer(customer_id);

GRANT SELECT ON TABLE customers.account TO bp_customers;
GRANT SELECT ON TABLE customers.account TO bp_judge;

-- What an account holds after its entry number position: a projection of the events. It has no
-- reference to account, because an event may arrive before the account. Rows are updated in place
-- (HOT), so pages keep room for the next version.
CREATE TABLE customers.balance (
    account_id uuid NOT NULL,
    currency text NOT NULL,
    balance bigint NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT balance_balance_check CHECK ((balance >= 0)),
    CONSTRAINT balance_position_check CHECK (("position" > 0))
)
WITH (fillfactor='60', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
ALTER TABLE customers.balance OWNER TO postgres;

ALTER TABLE ONLY customers.balance
    ADD CONSTRAINT balance_pkey PRIMARY KEY (account_id);

GRANT SELECT,INSERT ON TABLE customers.balance TO bp_customers;
GRANT SELECT ON TABLE customers.balance TO bp_judge;

GRANT UPDATE(currency) ON TABLE customers.balance TO bp_customers;

GRANT UPDATE(balance) ON TABLE customers.balance TO bp_customers;

GRANT UPDATE("position") ON TABLE customers.balance TO bp_customers;

-- Customers of the bank.
CREATE TABLE customers.customer (
    customer_id uuid NOT NULL,
    user_name text NOT NULL,
    display_name text NOT NULL,
    email text NOT NULL,
    locale text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT customer_display_name_check CHECK ((display_name <> ''::text)),
    CONSTRAINT customer_locale_check CHECK ((locale = ANY (ARRAY['es'::text, 'en'::text]))),
    CONSTRAINT customer_user_name_check CHECK ((user_name ~ '^[a-z][a-z0-9._-]{0,62}$'::text))
);
ALTER TABLE customers.customer OWNER TO postgres;

ALTER TABLE ONLY customers.customer
    ADD CONSTRAINT customer_pkey PRIMARY KEY (customer_id);

ALTER TABLE ONLY customers.customer
    ADD CONSTRAINT customer_user_name_key UNIQUE (user_name);

GRANT SELECT ON TABLE customers.customer TO bp_customers;
GRANT SELECT ON TABLE customers.customer TO bp_judge;
