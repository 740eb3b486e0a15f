-- Up to where the log is complete. `ingested_at` is the time at which a row's transaction began, so
-- whoever is still open may yet commit rows from its own beginning on, and nobody rows from before.
-- The margin covers the moment between a transaction's beginning and its being seen here.
SELECT least(
           %(upto)s::timestamptz,
           clock_timestamp() - make_interval(secs => %(margin_s)s),
           min(other.xact_start)
       ) AS watermark,
       %(upto)s::timestamptz <= clock_timestamp() - make_interval(secs => %(margin_s)s) AS is_over,
       count(*) FILTER (
           WHERE other.query = '<insufficient privilege>' AND other.usesysid IS NOT NULL
       ) AS hidden,
       (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
       (
           array_agg(
               format('%%s (process %%s, open since %%s)',
                      coalesce(nullif(other.application_name, ''), other.usename), other.pid,
                      to_char(other.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
               ORDER BY other.xact_start
           ) FILTER (
               WHERE other.xact_start < %(upto)s
                 AND other.xact_start < clock_timestamp() - make_interval(secs => %(margin_s)s)
           )
       )[1] AS oldest
FROM pg_stat_activity AS other
WHERE other.datname = current_database()
  AND other.pid <> pg_backend_pid()
  AND other.backend_type IS DISTINCT FROM 'autovacuum worker'
