-- Interactions that may become questions to a reviewer, the newest first: doubtful ones, those with
-- a thumb, and the audit sample, drawn as annotation.questions.lot draws it. Not those that an item
-- stands for already, nor those of erased sessions.
SELECT log.interaction_id, log.asked_at, log.session_id, log.query_text, log.confidence,
       log.intent, log.alternatives, log.feedback_score,
       simulated.session_id IS NOT NULL AS is_simulated
FROM interaction_log AS log
LEFT JOIN simulated_sessions AS simulated ON simulated.session_id = log.session_id
WHERE log.asked_at >= %(since)s
  AND (
      log.confidence IS NULL
      OR log.confidence < %(answer_from)s
      OR log.feedback_score IS NOT NULL
      OR ('x' || left(encode(sha256(convert_to(%(seed)s || ':' || log.interaction_id, 'UTF8')),
                             'hex'), 8))::bit(32)::bigint < %(audit_share)s * 4294967296.0::float8
  )
  AND NOT EXISTS (
      SELECT FROM review_members AS member WHERE member.interaction_id = log.interaction_id
  )
  AND NOT EXISTS (
      SELECT FROM erased_sessions AS erased WHERE erased.session_id = log.session_id
  )
ORDER BY log.asked_at DESC, log.interaction_id DESC
LIMIT %(rows)s
