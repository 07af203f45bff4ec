-- Records what an operator wants auth to do for a customer: UNLOCK or END_SESSIONS. `os_user` is
-- the operating-system user of bpctl. Returns false when the customer has no login. Auth carries
-- it out within a second.
CREATE OR REPLACE FUNCTION auth.request_by_operator(
    request_id uuid, kind text, customer_id uuid, os_user text, note text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO auth.operator_request (request_id, kind, customer_id, os_user, note)
    SELECT request_id, kind, u.customer_id, os_user, note
    FROM auth.users u WHERE u.customer_id = request_by_operator.customer_id;
    RETURN FOUND;
END $$;
