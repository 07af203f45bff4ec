-- migrate:up

-- A login takes up to five minutes. The epoch shows at its end whether the password changed, or an
-- operator ended the sessions, after it began.
SET ROLE auth_owner;

ALTER TABLE auth.users ADD COLUMN login_epoch bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN auth.users.login_epoch IS
    'Grows when the password changes and when an operator ends the sessions. A login, step-up or '
    'reset that began in an earlier epoch cannot complete.';
GRANT UPDATE (login_epoch) ON auth.users TO bp_auth;

RESET ROLE;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM auth.users WHERE login_epoch > 0) THEN
        RAISE EXCEPTION 'auth.users holds epochs of logins'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
ALTER TABLE auth.users DROP COLUMN login_epoch;
