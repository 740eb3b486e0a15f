-- Many searches in one round trip: each one's nodes, fused by reciprocal rank from its halves.
-- A node of the predicted intent gets the preference on top; ties go by id.
SELECT asked.place, best.number, best.revision, best.score
FROM unnest(
    %(texts)b::text[], {vectors}::vector[], %(intents)b::text[], %(preferences)b::float8[],
    %(tags)b::text[], %(limits)b::integer[]
) WITH ORDINALITY AS asked (text, vector, intent, preference, tags, top_k, place)
CROSS JOIN LATERAL (
    SELECT node.number, node.xmin AS revision,
           fused.score
           + CASE WHEN node.intent = asked.intent THEN asked.preference ELSE 0 END AS score
    FROM (
        SELECT half.node, sum(half.score) AS score
        FROM ({halves}) AS half (node, score)
        GROUP BY half.node
    ) AS fused
    JOIN knowledge_nodes AS node ON node.number = fused.node
    ORDER BY score DESC, node.id
    LIMIT asked.top_k
) AS best
