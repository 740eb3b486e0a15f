SELECT number, xmin AS revision, id, title, body, url, intent
FROM knowledge_nodes
WHERE number = ANY(%(numbers)b::integer[])
