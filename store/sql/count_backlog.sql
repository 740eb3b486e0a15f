-- How many queries wait for labels, as claim_next sees it, and how many are verified.
WITH verified AS MATERIALIZED (
    SELECT item_id FROM verified_labels
), unclear AS MATERIALIZED (
    SELECT item_id
    FROM labels
    WHERE retracted_at IS NULL AND intent = 'unclear'
    GROUP BY item_id
    HAVING count(*) >= 2
)
SELECT (SELECT count(*)
        FROM review_items AS item
        WHERE NOT EXISTS (SELECT FROM verified WHERE verified.item_id = item.item_id)
          AND NOT EXISTS (SELECT FROM unclear WHERE unclear.item_id = item.item_id)) AS open,
       (SELECT count(*) FROM verified) AS verified
