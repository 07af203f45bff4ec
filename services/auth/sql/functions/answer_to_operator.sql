-- Returns how many counters of tries or sessions a request of an operator ended; NULL while auth
-- has not carried it out.
CREATE OR REPLACE FUNCTION auth.answer_to_operator(request_id uuid) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.ended FROM auth.operator_request r
    WHERE r.request_id = answer_to_operator.request_id
$$;
