-- Touches every table that a search reads.
SELECT (SELECT nodes FROM knowledge_totals),
       EXISTS (SELECT FROM knowledge_nodes),
       EXISTS (SELECT FROM knowledge_terms),
       EXISTS (SELECT FROM knowledge_lexemes),
       EXISTS (SELECT FROM knowledge_vectors AS stored JOIN vector_spaces AS space ON space.id = stored.space)
