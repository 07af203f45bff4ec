-- One transfer from one of many accounts to the same hot account.
\set n random(2, :accounts)
SELECT pgledger_create_transfer(
    (SELECT id FROM bench.account WHERE n = :n::integer),
    (SELECT id FROM bench.account WHERE n = 1), 1);
