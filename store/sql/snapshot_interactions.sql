-- One part of the interactions, in the columns and the order of the dataset.
SELECT log.interaction_id, log.asked_at, log.ingested_at, log.session_id, log.query_text,
       log.outcome, log.confused_because, log.intent, log.confidence, log.alternatives,
       log.result_ids, log.degraded, log.is_crisis, log.model_version, log.embedding_space,
       log.timings_ms, log.feedback_score, log.feedback_comment, log.feedback_at,
       CASE WHEN simulated.session_id IS NULL THEN 'real' ELSE 'simulated' END AS source
FROM interaction_log AS log
LEFT JOIN simulated_sessions AS simulated ON simulated.session_id = log.session_id
WHERE log.ingested_at >= %(lower_at)s AND log.ingested_at <= %(upper_at)s
  AND (log.ingested_at, log.interaction_id COLLATE "C") >= (%(lower_at)s, %(lower_id)s)
  AND (log.ingested_at, log.interaction_id COLLATE "C") < (%(upper_at)s, %(upper_id)s)
  AND NOT EXISTS (
      SELECT FROM erased_sessions AS erased WHERE erased.session_id = log.session_id
  )
ORDER BY log.ingested_at, log.interaction_id COLLATE "C"
