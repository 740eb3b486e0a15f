-- An item as a reviewer sees it, and whether that reviewer has labelled it already.
SELECT item_id, query_text, reason, priority, asked_at, model_version, intent, confidence,
       alternatives, outcome, result_ids, source,
       greatest(1, (SELECT count(*) FROM review_members AS member
                    WHERE member.item_id = item.item_id)) AS members,
       EXISTS (SELECT FROM labels AS mine
               WHERE mine.item_id = item.item_id AND mine.reviewer = %(reviewer)s
                 AND mine.retracted_at IS NULL) AS is_mine
FROM review_items AS item
WHERE item_id = %(item_id)s
