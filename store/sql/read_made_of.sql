-- Nodes in the order of their numbers, each with what its vector in a space was made of. The text is
-- needed only where there is a vector, to see whether it is of the present one.
SELECT node.number, length(node.title) + length(node.body) AS length, vector.source_digest,
       CASE WHEN vector.node IS NOT NULL THEN node.title || ' ' || node.body END AS source_text
FROM knowledge_nodes AS node
LEFT JOIN knowledge_vectors AS vector ON vector.node = node.number AND vector.space = %(space)s
WHERE node.number > %(after)s
ORDER BY node.number
LIMIT %(rows)s
