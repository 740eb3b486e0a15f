-- Where each part of so many rows begins.
SELECT ingested_at, interaction_id
FROM (
    SELECT ingested_at, interaction_id,
           row_number() OVER (ORDER BY ingested_at, interaction_id COLLATE "C") AS number
    FROM interaction_log
    WHERE ingested_at >= %(since)s AND ingested_at < %(watermark)s
) AS numbered
WHERE (number - 1) %% %(part_rows)s = 0
ORDER BY number
