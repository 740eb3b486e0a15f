-- The half by words: nodes with any of the asked words, ranked by BM25. What a rank is worth falls
-- with the share of the question that the node's words carry, so that one chance word of a long
-- question does not count as much as all of a short one's. Rare words are read first, and no more
-- of them once {postings} entries were: the rest tell little, being in so many nodes, and cost most.
SELECT matching.node,
       {weight}::float8 * matching.share
       / ({smoothing} + rank() OVER (ORDER BY matching.score DESC))
FROM (
    SELECT term.node, sum(term.weight * word.rarity) AS score,
           sum(word.rarity) / max(word.all_rarity) AS share
    FROM (
        SELECT weighed.lexeme, weighed.rarity, sum(weighed.rarity) OVER () AS all_rarity,
               sum(weighed.nodes) OVER (ORDER BY weighed.nodes, weighed.lexeme) - weighed.nodes
                   AS read_before
        FROM (
            SELECT said.lexeme, coalesce(known.nodes, 0) AS nodes,
                   -- In floats: numeric logarithms would take most of the query's time.
                   ln(1 + (total.nodes - coalesce(known.nodes, 0) + 0.5::float8)
                          / (coalesce(known.nodes, 0) + 0.5::float8)) AS rarity
            FROM knowledge_totals AS total
            CROSS JOIN unnest(tsvector_to_array(to_tsvector('english', asked.text)))
                AS said (lexeme)
            LEFT JOIN knowledge_lexemes AS known ON known.lexeme = said.lexeme
        ) AS weighed
    ) AS word
    JOIN knowledge_terms AS term ON term.lexeme = word.lexeme
    WHERE word.read_before < {postings} {filter}
    GROUP BY term.node
    ORDER BY score DESC, term.node
    LIMIT {depth}
) AS matching
