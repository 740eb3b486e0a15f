-- A part of a space's vectors: all at once would be one long transaction.
DELETE FROM knowledge_vectors
WHERE space = %(space)s
  AND node IN (SELECT node FROM knowledge_vectors WHERE space = %(space)s LIMIT 10000)
