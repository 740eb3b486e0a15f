-- Thumbs of one batch; the latest of each interaction wins.
INSERT INTO pending_feedback (interaction_id, asked_at, score, comment, given_at)
SELECT DISTINCT ON (interaction_id) interaction_id, asked_at, score, comment, given_at
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    interaction_id text, asked_at timestamptz, score smallint, comment text, given_at timestamptz
)
ORDER BY interaction_id, given_at DESC
ON CONFLICT (interaction_id) DO UPDATE
SET score = excluded.score, comment = excluded.comment, given_at = excluded.given_at
WHERE pending_feedback.given_at <= excluded.given_at
