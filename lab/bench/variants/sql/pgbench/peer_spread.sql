-- One transfer between two of many accounts.
\set n random(1, :accounts)
SELECT pgledger_create_transfer(
    (SELECT id FROM bench.account WHERE n = :n::integer),
    (SELECT id FROM bench.account WHERE n = :n::integer % :accounts::integer + 1), 1);
