-- The spaces' HNSW indexes; `is_left` marks what a rebuild left behind when it was killed.
SELECT index.relname::text, NOT entry.indisvalid AS is_left
FROM pg_index AS entry
JOIN pg_class AS index ON index.oid = entry.indexrelid
WHERE entry.indrelid = 'knowledge_vectors'::regclass
  AND index.relname LIKE 'knowledge\_vectors\_hnsw\_%'
ORDER BY is_left DESC, index.relname
