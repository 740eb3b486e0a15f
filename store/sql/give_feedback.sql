-- The last write wins; no row means that the interaction has not arrived yet.
UPDATE interaction_log
SET feedback_score = %(score)s, feedback_comment = %(comment)s, feedback_at = %(given_at)s
WHERE asked_at = %(asked_at)s AND interaction_id = %(interaction_id)s
  AND (feedback_at IS NULL OR feedback_at <= %(given_at)s)
RETURNING interaction_id
