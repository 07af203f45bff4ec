-- migrate:up

-- Processes of the previous version may still keep a new notice, and their other changes of notices
-- change no row and raise no error. Processes of this version use the functions of migration 0034.
SET ROLE payments_owner;

ALTER TABLE payments.ach_notice ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON payments.ach_notice FOR SELECT USING (true);
CREATE POLICY keep ON payments.ach_notice FOR INSERT WITH CHECK (state IN ('KEPT', 'CONFLICT'));

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP POLICY keep ON payments.ach_notice;
DROP POLICY read ON payments.ach_notice;
ALTER TABLE payments.ach_notice DISABLE ROW LEVEL SECURITY;

RESET ROLE;
