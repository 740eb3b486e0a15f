-- Move every pending thumb whose interaction has arrived onto its row; a later thumb stays.
-- The span lets the planner leave out the partitions of all other days.
WITH arrived AS (
    DELETE FROM pending_feedback AS pending
    USING interaction_log AS log
    WHERE log.asked_at BETWEEN %(first)s AND %(last)s
      AND log.asked_at = pending.asked_at AND log.interaction_id = pending.interaction_id
    RETURNING pending.interaction_id, pending.asked_at, pending.score, pending.comment, pending.given_at
)
UPDATE interaction_log AS log
SET feedback_score = arrived.score, feedback_comment = arrived.comment, feedback_at = arrived.given_at
FROM arrived
WHERE log.asked_at BETWEEN %(first)s AND %(last)s
  AND log.asked_at = arrived.asked_at AND log.interaction_id = arrived.interaction_id
  AND (log.feedback_at IS NULL OR log.feedback_at <= arrived.given_at)
