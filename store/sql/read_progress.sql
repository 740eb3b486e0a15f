-- How far the labelling is. An item is open when it is neither verified nor found unclear by two.
SELECT (SELECT count(*) FROM verified_labels) AS verified,
       (SELECT count(*) FROM verified_labels WHERE source = 'real') AS verified_real,
       (SELECT count(DISTINCT item_id) FROM labels WHERE retracted_at IS NULL) AS labelled,
       (SELECT count(*) FROM review_items) AS items,
       (SELECT count(*) FROM labels
        WHERE reviewer = %(reviewer)s AND retracted_at IS NULL) AS mine
