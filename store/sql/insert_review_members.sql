-- The interactions of items that are there, but for those that were erased meanwhile.
INSERT INTO review_members (interaction_id, item_id, session_id)
SELECT log.interaction_id, item.item_id, log.session_id
FROM unnest(%(interaction_ids)s::text[], %(asked_ats)s::timestamptz[], %(item_ids)s::text[])
    AS chosen (interaction_id, asked_at, item_id)
JOIN interaction_log AS log
    ON log.asked_at = chosen.asked_at AND log.interaction_id = chosen.interaction_id
JOIN review_items AS item ON item.item_id = chosen.item_id
WHERE NOT EXISTS (
    SELECT FROM erased_sessions AS erased WHERE erased.session_id = log.session_id
)
ORDER BY log.interaction_id
ON CONFLICT (interaction_id) DO NOTHING
