-- Queries that no standing label gives an intent of the hub, the newest first.
SELECT item.query_text,
       greatest(1, (SELECT count(*) FROM review_members AS member
                    WHERE member.item_id = item.item_id)) AS members,
       EXISTS (SELECT FROM labels AS label
               WHERE label.item_id = item.item_id AND label.intent = %(out_of_scope)s
                 AND label.retracted_at IS NULL) AS is_out_of_scope
FROM review_items AS item
WHERE NOT EXISTS (
    SELECT FROM labels AS label
    WHERE label.item_id = item.item_id AND label.retracted_at IS NULL
      AND label.intent <> ALL (%(placeless)s::text[]))
ORDER BY item.asked_at DESC, item.item_id
LIMIT %(newest)s
