INSERT INTO knowledge_vectors (space, node, source_digest, embedding)
SELECT %(space)s, node.number, incoming.digest, incoming.embedding
FROM incoming_vectors AS incoming JOIN knowledge_nodes AS node USING (id)
ON CONFLICT (space, node) DO UPDATE
SET source_digest = excluded.source_digest, embedding = excluded.embedding
