-- Thumbs of one batch; the latest of each interaction wins. Of erased sessions none is kept.
INSERT INTO pending_feedback (interaction_id, asked_at, score, comment, given_at, session_id)
SELECT DISTINCT ON (interaction_id) interaction_id, asked_at, score, comment, given_at, session_id
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    interaction_id text, asked_at timestamptz, score smallint, comment text, given_at timestamptz,
    session_id text
)
WHERE NOT EXISTS (
    SELECT FROM erased_sessions AS erased WHERE erased.session_id = row.session_id
)
ORDER BY interaction_id, given_at DESC
ON CONFLICT (interaction_id) DO UPDATE
SET score = excluded.score, comment = excluded.comment, given_at = excluded.given_at,
    session_id = excluded.session_id
WHERE pending_feedback.given_at <= excluded.given_at
