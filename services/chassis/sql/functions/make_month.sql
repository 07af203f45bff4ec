-- Makes the partition of one month, under the name `partition` in its parent's schema. It creates a
-- table like the parent and then attaches it. Unlike CREATE TABLE ... PARTITION OF, that blocks
-- neither readers nor writers of the parent; it locks only a default partition, until the commit.
-- `finish` names a function over regclass that adds what LIKE does not copy, such as statement
-- triggers.
CREATE OR REPLACE FUNCTION chassis.make_month(
    parent regclass, schema name, partition text, month timestamptz, finish regproc
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    made text := format('%I.%I', schema, partition);
BEGIN
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', made, parent);
    IF finish IS NOT NULL THEN
        EXECUTE format('SELECT %s($1)', finish) USING made::regclass;
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, made,
        chassis.id_floor(month), chassis.id_floor(month + interval '1 month'));
END $$;
