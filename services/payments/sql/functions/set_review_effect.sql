-- Sets the effect of a refusal that was not taken up yet. Only processes of the previous version
-- call it, during a rolling release; payments.report_review replaces it.
CREATE OR REPLACE FUNCTION payments.set_review_effect(transfer_id uuid, effect text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.review_decision r SET effect = set_review_effect.effect
    WHERE r.transfer_id = set_review_effect.transfer_id AND r.effect = 'REQUESTED'
$$;
