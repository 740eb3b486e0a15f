-- The half by meaning: the nodes nearest to the asked vector in its space. Vectors are of unit
-- length, so the inner product orders as the cosine does. Equal distances are equal ranks.
SELECT near.node, {weight}::float8 / ({smoothing} + rank() OVER (ORDER BY near.distance))
FROM (
    SELECT stored.node, stored.embedding::vector({dims}) <#> asked.vector AS distance
    FROM knowledge_vectors AS stored
    WHERE stored.space = {space}
    ORDER BY distance
    LIMIT {depth}
) AS near
