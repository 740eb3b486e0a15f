-- Items that stand for more now: the priority grows as it would have, asked so often from the start.
UPDATE review_items AS item
SET priority = item.priority * ln(1 + now_asked.sessions) / ln(1 + raised.sessions),
    reason = raised.reason
FROM unnest(%(item_ids)s::text[], %(sessions)s::bigint[], %(reasons)s::text[])
    AS raised (item_id, sessions, reason)
CROSS JOIN LATERAL (
    SELECT count(DISTINCT member.session_id)::float8 AS sessions
    FROM review_members AS member WHERE member.item_id = raised.item_id
) AS now_asked
WHERE item.item_id = raised.item_id AND now_asked.sessions >= raised.sessions
