-- The server, and the pgvector that this database has, or would get. Whether that can scan on shows
-- only after its library is loaded.
SELECT current_setting('server_version') AS postgres,
       (
           SELECT coalesce(installed_version, default_version)
           FROM pg_available_extensions WHERE name = 'vector'
       ) AS pgvector,
       EXISTS (SELECT FROM pg_settings WHERE name = 'hnsw.iterative_scan') AS scans_on
