-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TABLE customers.customer IS
    'Customers of the bank.';

COMMENT ON TABLE customers.account IS
    'Accounts of customers. An account''s id carries the shard of its customer, so the rows of a '
    'transfer lie together.';
COMMENT ON INDEX customers.account_by_customer IS
    'For the accounts of a customer, page by page, in the order they were opened.';

COMMENT ON TABLE customers.balance IS
    'What an account holds after its entry number position: a projection of the events. It has no'
    ' reference to account, because an event may arrive before the account. Rows are updated in '
    'place (HOT), so pages keep room for the next version.';

-- migrate:down
COMMENT ON TABLE customers.customer IS NULL;
COMMENT ON TABLE customers.account IS NULL;
COMMENT ON INDEX customers.account_by_customer IS NULL;
COMMENT ON TABLE customers.balance IS NULL;
