-- The half by meaning among the nodes that carry all asked tags. The index filters after it scans:
-- where few nodes are left it would scan most of the table for them, and a pgvector before 0.8 does
-- not scan on at all. So where few are tagged, or the index came short of rows, the tagged nodes are
-- read one by one, which is exact.
SELECT near.node, {weight}::float8 / ({smoothing} + rank() OVER (ORDER BY near.distance))
FROM (
    WITH chosen AS MATERIALIZED (
        SELECT node.number
        FROM knowledge_nodes AS node
        WHERE node.tags @> string_to_array(asked.tags, {separator})
        LIMIT {few} + 1
    ), scanned AS MATERIALIZED (
        SELECT stored.node, stored.embedding::vector({dims}) <#> asked.vector AS distance
        FROM knowledge_vectors AS stored
        WHERE stored.space = {space} AND (SELECT count(*) FROM chosen) > {few}
          AND (
              SELECT node.tags @> string_to_array(asked.tags, {separator})
              FROM knowledge_nodes AS node WHERE node.number = stored.node
          )
        ORDER BY distance
        LIMIT {depth}
    )
    SELECT node, distance FROM scanned WHERE (SELECT count(*) FROM scanned) >= {depth}
    UNION ALL
    (
        SELECT stored.node, stored.embedding <#> asked.vector AS distance
        FROM chosen JOIN knowledge_vectors AS stored ON stored.node = chosen.number
        WHERE stored.space = {space} AND (SELECT count(*) FROM chosen) <= {few}
        ORDER BY distance, stored.node
        LIMIT {depth}
    )
    UNION ALL
    (
        SELECT stored.node, stored.embedding <#> asked.vector AS distance
        FROM knowledge_nodes AS node JOIN knowledge_vectors AS stored ON stored.node = node.number
        WHERE node.tags @> string_to_array(asked.tags, {separator}) AND stored.space = {space}
          AND (SELECT count(*) FROM chosen) > {few} AND (SELECT count(*) FROM scanned) < {depth}
        ORDER BY distance, stored.node
        LIMIT {depth}
    )
) AS near
