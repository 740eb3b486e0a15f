-- The newest items with how many sessions they stand for. Open is what claim_next may still lease.
SELECT item.item_id, item.query_text, item.reason, item.source = 'simulated' AS is_simulated,
       (SELECT count(DISTINCT member.session_id) FROM review_members AS member
        WHERE member.item_id = item.item_id) AS sessions,
       verified.item_id IS NULL AND coalesce(said.unclear, 0) < 2 AS is_open
FROM review_items AS item
LEFT JOIN (SELECT item_id FROM verified_labels) AS verified ON verified.item_id = item.item_id
LEFT JOIN (
    SELECT item_id, count(*) FILTER (WHERE intent = 'unclear') AS unclear
    FROM labels WHERE retracted_at IS NULL GROUP BY item_id
) AS said ON said.item_id = item.item_id
ORDER BY item.made_at DESC, item.item_id
LIMIT %(rows)s
