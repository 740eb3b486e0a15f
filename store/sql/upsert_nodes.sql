-- Rows that are stored already as they are stay untouched: nothing is indexed anew for them.
INSERT INTO knowledge_nodes AS stored (id, title, body, url, intent, tags)
SELECT id, title, body, url, intent, tags FROM incoming_nodes
ON CONFLICT (id) DO UPDATE
SET title = excluded.title, body = excluded.body, url = excluded.url, intent = excluded.intent,
    tags = excluded.tags, updated_at = now()
WHERE (stored.title, stored.body, stored.url, stored.intent, stored.tags)
      IS DISTINCT FROM (excluded.title, excluded.body, excluded.url, excluded.intent, excluded.tags)
