-- The half by words: any of the asked words, ranked by BM25. Rare words are read first, and words
-- after which {postings} entries would have been read not at all: they are in so many nodes that
-- they tell little, and cost most. The two rarest are always read.
SELECT matching.node, {weight}::float8 / ({smoothing} + rank() OVER (ORDER BY matching.score DESC))
FROM (
    SELECT term.node, sum(term.weight * word.rarity) AS score
    FROM (
        SELECT known.lexeme,
               ln(1 + (total.nodes - known.nodes + 0.5) / (known.nodes + 0.5)) AS rarity,
               sum(known.nodes) OVER rarest_first AS postings,
               row_number() OVER rarest_first AS place
        FROM knowledge_totals AS total
        CROSS JOIN unnest(tsvector_to_array(to_tsvector('english', asked.text))) AS said (lexeme)
        JOIN knowledge_lexemes AS known ON known.lexeme = said.lexeme
        WINDOW rarest_first AS (ORDER BY known.nodes, known.lexeme)
    ) AS word
    JOIN knowledge_terms AS term ON term.lexeme = word.lexeme
    WHERE (word.postings <= {postings} OR word.place <= 2) {filter}
    GROUP BY term.node
    ORDER BY score DESC
    LIMIT {depth}
) AS matching
