-- The half by meaning: the nodes nearest to the asked vector in its space. Vectors are of unit
-- length, so the inner product orders as the cosine does. Equal distances are equal ranks.
-- An index scan that comes short of rows, because most that it met are dead, is not believed: then
-- all vectors are compared.
SELECT near.node, {weight}::float8 / ({smoothing} + rank() OVER (ORDER BY near.distance))
FROM (
    WITH scanned AS MATERIALIZED (
        SELECT stored.node, stored.embedding::vector({dims}) <#> asked.vector AS distance
        FROM knowledge_vectors AS stored
        WHERE stored.space = {space}
        ORDER BY distance
        LIMIT {depth}
    )
    SELECT node, distance FROM scanned WHERE (SELECT count(*) FROM scanned) >= {depth}
    UNION ALL
    (
        SELECT stored.node, stored.embedding <#> asked.vector AS distance
        FROM knowledge_vectors AS stored
        WHERE stored.space = {space} AND (SELECT count(*) FROM scanned) < {depth}
        ORDER BY distance, stored.node
        LIMIT {depth}
    )
) AS near
