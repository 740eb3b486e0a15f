SELECT space.fingerprint, space.dims, count(vector.node), (SELECT nodes FROM knowledge_totals)
FROM vector_spaces AS space LEFT JOIN knowledge_vectors AS vector ON vector.space = space.id
GROUP BY space.id
ORDER BY space.id DESC
