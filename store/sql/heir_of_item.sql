-- The oldest of these interactions that is left. The times let the planner leave out other days.
SELECT log.interaction_id, log.query_text, log.asked_at, log.model_version, log.intent,
       log.confidence, log.alternatives::text AS alternatives, log.outcome, log.result_ids,
       CASE WHEN EXISTS (
           SELECT FROM simulated_sessions AS simulated
           WHERE simulated.session_id = log.session_id
       ) THEN 'simulated' ELSE 'real' END AS source
FROM interaction_log AS log
WHERE log.asked_at = ANY(%(asked_at)s::timestamptz[])
  AND log.interaction_id = ANY(%(members)s::text[])
ORDER BY log.asked_at, log.interaction_id
LIMIT 1
