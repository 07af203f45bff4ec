-- Sets the state of a kept notice that changed nothing.
CREATE OR REPLACE FUNCTION payments.close_notice(notice_id text, state text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.ach_notice n SET state = close_notice.state
    WHERE n.notice_id = close_notice.notice_id AND n.state = 'KEPT'
$$;
