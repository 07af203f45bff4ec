-- migrate:up

-- A row that stays locked fails the statement after a second, so that it does not take a connection
-- for long.

ALTER FUNCTION transfers.post_book_transfer SET lock_timeout = '1s';

-- migrate:down
ALTER FUNCTION transfers.post_book_transfer RESET lock_timeout;
