-- Who may do what in the hub's database, with no more than it needs. Run it as the administrator (on
-- Cloud SQL: postgres), connected to that database; again at any time, it changes nothing that is right.
--
--   hub_owner   owns the tables and migrates them: `python -m scripts.deploy`, scripts/migrate_vectors.py
--   hub_app     serves and runs the jobs: reads knowledge, writes the log and labels, makes no table
--   hub_report  reads what reports and the Django site show, and writes nothing
--
-- They may log in but have no password until somebody sets one (`gcloud sql users set-password`, or
-- \password). Made here and not by `gcloud sql users create`, which makes every user a cloudsqlsuperuser.
-- What hub_app and hub_report may do with each table is in store/grants.sql: migrations grant it.
DO $$
DECLARE
    who text;
BEGIN
    FOREACH who IN ARRAY ARRAY['hub_owner', 'hub_app', 'hub_report'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = who) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', who);
        END IF;
        IF EXISTS (
            SELECT FROM pg_auth_members AS member
            JOIN pg_roles AS whole ON whole.oid = member.roleid
            JOIN pg_roles AS one ON one.oid = member.member
            WHERE whole.rolname = 'cloudsqlsuperuser' AND one.rolname = who
        ) THEN
            EXECUTE format('REVOKE cloudsqlsuperuser FROM %I', who);
        END IF;
    END LOOP;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO hub_owner, hub_app, hub_report', current_database()
    );
    -- Loads go through temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO hub_owner', current_database());
END
$$;

-- Only an administrator may make it; the first migration finds it there.
CREATE EXTENSION IF NOT EXISTS vector;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO hub_owner;
GRANT USAGE ON SCHEMA public TO hub_app, hub_report;

-- A snapshot has to know when the oldest transaction of all sessions began. Since 16 a role is granted
-- by who has its ADMIN option alone, and a managed service may have handed on pg_monitor only.
DO $$
BEGIN
    GRANT pg_read_all_stats TO hub_app;
EXCEPTION WHEN insufficient_privilege THEN
    BEGIN
        GRANT pg_monitor TO hub_app;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'hub_app may not see other sessions, so snapshots are refused while another'
            ' role is connected. Let a role that may grant pg_read_all_stats grant it to hub_app.';
    END;
END
$$;
