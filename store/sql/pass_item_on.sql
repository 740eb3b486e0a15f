-- The same item with another member's interaction: its reason, order and lease stay.
INSERT INTO review_items (
    item_id, query_text, reason, priority, asked_at, model_version, intent, confidence,
    alternatives, outcome, result_ids, source, made_at, leased_by, leased_until
)
SELECT %(interaction_id)s, %(query_text)s, reason, priority, %(asked_at)s, %(model_version)s,
       %(intent)s, %(confidence)s, %(alternatives)s::jsonb, %(outcome)s, %(result_ids)s,
       %(source)s, made_at, leased_by, leased_until
FROM review_items
WHERE item_id = %(item_id)s
