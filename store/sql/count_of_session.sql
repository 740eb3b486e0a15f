-- How many rows of a session there are.
SELECT (SELECT count(*) FROM interaction_log WHERE session_id = %(session_id)s),
       (SELECT count(*) FROM request_claims WHERE session_id = %(session_id)s),
       (SELECT count(*) FROM review_members WHERE session_id = %(session_id)s),
       (SELECT count(*) FROM simulated_sessions WHERE session_id = %(session_id)s)
