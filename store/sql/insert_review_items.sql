-- An item with what the hub answered to its representative. Nothing is made of an interaction that
-- was erased meanwhile; one that is an item or a member already stays what it is.
INSERT INTO review_items (
    item_id, query_text, reason, priority, asked_at, model_version, intent, confidence,
    alternatives, outcome, result_ids, source
)
SELECT log.interaction_id, log.query_text, chosen.reason, chosen.priority, log.asked_at,
       log.model_version, log.intent, log.confidence, log.alternatives, log.outcome,
       log.result_ids,
       CASE WHEN simulated.session_id IS NULL THEN 'real' ELSE 'simulated' END
FROM unnest(%(item_ids)s::text[], %(asked_ats)s::timestamptz[], %(reasons)s::text[],
            %(priorities)s::float8[]) AS chosen (item_id, asked_at, reason, priority)
JOIN interaction_log AS log
    ON log.asked_at = chosen.asked_at AND log.interaction_id = chosen.item_id
LEFT JOIN simulated_sessions AS simulated ON simulated.session_id = log.session_id
WHERE NOT EXISTS (
      SELECT FROM erased_sessions AS erased WHERE erased.session_id = log.session_id
  )
  AND NOT EXISTS (
      SELECT FROM review_members AS member WHERE member.interaction_id = log.interaction_id
  )
ORDER BY log.interaction_id
ON CONFLICT (item_id) DO NOTHING
