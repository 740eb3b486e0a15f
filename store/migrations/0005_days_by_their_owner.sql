-- The log's days, made and dropped by whoever serves, with the rights of the tables' owner: a role
-- that serves makes no other table. Within a transaction whose lock_timeout the caller has set.
CREATE FUNCTION make_interaction_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
    day_name text := 'interaction_log_' || to_char(day, 'YYYYMMDD');
BEGIN
    -- One hub at a time. From the catalog itself: to_regclass may still answer from before another
    -- hub's commit.
    PERFORM pg_advisory_xact_lock(7402711385214);
    IF EXISTS (SELECT FROM pg_class WHERE relname = day_name AND pg_table_is_visible(oid)) THEN
        RETURN false;
    END IF;
    -- From here to the commit no row of this day can slip into the default partition.
    LOCK TABLE interaction_log_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE interaction_log INCLUDING ALL)', day_name);
    -- Filled before it is attached: attaching refuses while the default has such rows.
    EXECUTE format(
        'WITH moved AS (DELETE FROM interaction_log_default'
        ' WHERE asked_at >= %L AND asked_at < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved',
        day::timestamptz, (day + 1)::timestamptz, day_name
    );
    EXECUTE format(
        'ALTER TABLE interaction_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        day_name, day::timestamptz, (day + 1)::timestamptz
    );
    RETURN true;
END
$$;

CREATE FUNCTION drop_interaction_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7402711385214);
    EXECUTE format('DROP TABLE IF EXISTS %I', 'interaction_log_' || to_char(day, 'YYYYMMDD'));
END
$$;

REVOKE EXECUTE ON FUNCTION make_interaction_day(date), drop_interaction_day(date) FROM PUBLIC;
