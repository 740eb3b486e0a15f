-- How many connections the server has for the hub's roles, and the limits of database and roles where
-- somebody set one.
SELECT current_setting('max_connections')::integer AS at_most,
       current_setting('superuser_reserved_connections')::integer
       + coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved,
       (
           SELECT datconnlimit FROM pg_database
           WHERE datname = current_database() AND datconnlimit >= 0
       ) AS of_database,
       (
           SELECT min(rolconnlimit) FROM pg_roles
           WHERE rolconnlimit >= 0 AND rolname IN (current_user, 'hub_app')
       ) AS of_role
