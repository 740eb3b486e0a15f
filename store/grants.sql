-- What the roles of deploy/sql/roles.sql may do with each table. Every migration ends with it, where
-- those roles are; a table that is not named here is its owner's alone.

-- Read by searches and reports, written by loads, which are the owner's.
GRANT SELECT ON knowledge_nodes, knowledge_terms, knowledge_lexemes, knowledge_totals, vector_spaces,
    knowledge_vectors, knowledge_loads TO hub_app;

-- Written by serving, erased with a session. The days' tables are reached through the log alone.
GRANT SELECT, INSERT, UPDATE, DELETE ON interaction_log, interaction_log_default, pending_feedback,
    request_claims, simulated_sessions, review_items, review_members, sign_in_failures TO hub_app;
GRANT EXECUTE ON FUNCTION make_interaction_day(date), drop_interaction_day(date) TO hub_app;

-- Labels are retracted, accounts disabled, tombstones kept.
GRANT SELECT, INSERT, UPDATE ON labels, reviewers TO hub_app;
GRANT SELECT, INSERT ON erased_sessions TO hub_app;

-- Read by reports, and by the Django site with its health check: no account, no session's answers.
GRANT SELECT ON verified_labels, schema_migrations TO hub_app, hub_report;
GRANT SELECT ON interaction_log, simulated_sessions, erased_sessions, review_items, review_members,
    labels, knowledge_nodes, knowledge_terms, knowledge_lexemes, knowledge_totals, vector_spaces,
    knowledge_vectors TO hub_report;
