-- Drops the declined orders of months that ended more than five years ago, and returns how many
-- months it dropped. The service calls it daily.
CREATE OR REPLACE FUNCTION transfers.drop_old_declines() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('transfers.declined_order', interval '5 years')
$$;
