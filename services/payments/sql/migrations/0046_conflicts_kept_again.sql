-- migrate:up

-- The previous version keeps the same contradiction again with ON CONFLICT DO UPDATE. Without a
-- policy for UPDATE this raises an error, which ends its process. Only the time of a CONFLICT can
-- change: its state stays, and other notices are not visible to an UPDATE.
SET ROLE payments_owner;

CREATE POLICY keep_again ON payments.ach_notice FOR UPDATE
    USING (state = 'CONFLICT') WITH CHECK (state = 'CONFLICT');

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP POLICY keep_again ON payments.ach_notice;

RESET ROLE;
