-- Knowledge: what the university wrote, and its vectors, one row per node and vector space.
CREATE EXTENSION IF NOT EXISTS vector;

-- `number` is the node's short name inside the other tables; `id` is its name everywhere else.
CREATE TABLE knowledge_nodes (
    id         text COLLATE "C" PRIMARY KEY,
    number     integer NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    title      text NOT NULL,
    body       text NOT NULL,
    url        text NOT NULL,
    intent     text NOT NULL,
    tags       text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX knowledge_nodes_tags ON knowledge_nodes USING gin (tags);

-- The inverted index of full text: which lexeme stands in which node, and its share of BM25, that
-- is how often it stands there, saturated, against the node's length. `ts_rank` would read every
-- matching node's text vector and knows nothing of a word's rarity; here a word's rows lie together.
-- Triggers keep all three tables in step with knowledge_nodes, whoever writes it.
CREATE TABLE knowledge_terms (
    lexeme text COLLATE "C" NOT NULL,
    node   integer NOT NULL,
    weight real NOT NULL,
    PRIMARY KEY (lexeme, node) INCLUDE (weight)
);
CREATE INDEX knowledge_terms_node ON knowledge_terms (node);

CREATE TABLE knowledge_lexemes (
    lexeme text COLLATE "C" PRIMARY KEY,
    nodes  integer NOT NULL
);

CREATE TABLE knowledge_totals (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    nodes    integer NOT NULL
);
INSERT INTO knowledge_totals (nodes) VALUES (0);

-- BM25 with k1 = 1.2 and b = 0.75; a word of the title counts twice, one of the tags once. The
-- length is held against a fixed 120 words, not the changing mean: any pivot from 60 to 250 ranks
-- within 0.005 nDCG, and a node's weights then depend on that node alone.
CREATE FUNCTION knowledge_weights(title text, body text, tags text[])
RETURNS TABLE (lexeme text, weight real) LANGUAGE sql STABLE AS $$
    WITH counted AS (
        SELECT word.lexeme,
               cardinality(word.positions)
               + cardinality(array_positions(word.weights, 'A')) AS times
        FROM unnest(
            setweight(to_tsvector('english', title), 'A')
            || to_tsvector('english', body)
            || to_tsvector('english', array_to_string(tags, ' '))
        ) AS word
    )
    SELECT lexeme,
           (times * 2.2 / (times + 1.2 * (0.25 + 0.75 * sum(times) OVER () / 120)))::real
    FROM counted
$$;

-- `old_nodes` and `new_nodes` are the statement's transition tables.
CREATE FUNCTION forget_knowledge_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Writers take turns: they would lock each other's common words otherwise.
    PERFORM pg_advisory_xact_lock(7402711385215);
    WITH gone AS (
        DELETE FROM knowledge_terms AS term USING old_nodes AS node WHERE term.node = node.number
        RETURNING term.lexeme
    ), fewer AS (
        SELECT lexeme, count(*) AS nodes FROM gone GROUP BY lexeme
    )
    UPDATE knowledge_lexemes AS kept SET nodes = kept.nodes - fewer.nodes
    FROM fewer WHERE kept.lexeme = fewer.lexeme;
    DELETE FROM knowledge_lexemes WHERE nodes <= 0;
    UPDATE knowledge_totals SET nodes = nodes - (SELECT count(*) FROM old_nodes);
    RETURN NULL;
END
$$;

CREATE FUNCTION index_knowledge_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7402711385215);
    WITH added AS (
        INSERT INTO knowledge_terms (lexeme, node, weight)
        SELECT term.lexeme, node.number, term.weight
        FROM new_nodes AS node, knowledge_weights(node.title, node.body, node.tags) AS term
        RETURNING lexeme
    )
    INSERT INTO knowledge_lexemes AS kept (lexeme, nodes)
    SELECT lexeme, count(*) FROM added GROUP BY lexeme ORDER BY lexeme
    ON CONFLICT (lexeme) DO UPDATE SET nodes = kept.nodes + excluded.nodes;
    UPDATE knowledge_totals SET nodes = nodes + (SELECT count(*) FROM new_nodes);
    RETURN NULL;
END
$$;

CREATE FUNCTION empty_knowledge_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE knowledge_terms, knowledge_lexemes;
    UPDATE knowledge_totals SET nodes = 0;
    RETURN NULL;
END
$$;

-- Triggers fire in the order of their names: an update forgets first.
CREATE TRIGGER a_forget_on_update AFTER UPDATE ON knowledge_nodes
    REFERENCING OLD TABLE AS old_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION forget_knowledge_terms();
CREATE TRIGGER a_forget_on_delete AFTER DELETE ON knowledge_nodes
    REFERENCING OLD TABLE AS old_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION forget_knowledge_terms();
CREATE TRIGGER b_index_on_update AFTER UPDATE ON knowledge_nodes
    REFERENCING NEW TABLE AS new_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION index_knowledge_terms();
CREATE TRIGGER b_index_on_insert AFTER INSERT ON knowledge_nodes
    REFERENCING NEW TABLE AS new_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION index_knowledge_terms();
CREATE TRIGGER empty_on_truncate AFTER TRUNCATE ON knowledge_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION empty_knowledge_terms();

-- A vector space is named by its fingerprint; `id` is the small number inside the vectors' rows
-- and in the name of the space's own HNSW index.
CREATE TABLE vector_spaces (
    id          integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    fingerprint text NOT NULL UNIQUE,
    dims        integer NOT NULL CHECK (dims BETWEEN 1 AND 2000),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- `embedding` has no fixed width, so that spaces of different dims stand side by side; the cast in
-- each space's partial HNSW index, `knowledge_vectors_hnsw_ID`, refuses a vector of another width.
-- `source_digest` says which text the vector was made of, so that a resumed load knows what is done.
CREATE TABLE knowledge_vectors (
    space         integer NOT NULL REFERENCES vector_spaces (id) ON DELETE CASCADE,
    node          integer NOT NULL REFERENCES knowledge_nodes (number) ON DELETE CASCADE,
    source_digest text NOT NULL,
    embedding     vector NOT NULL,
    PRIMARY KEY (space, node)
);
CREATE INDEX knowledge_vectors_node ON knowledge_vectors (node);
-- VACUUM mends an HNSW graph slowly and badly: store.knowledge.tidy builds it anew instead.
ALTER TABLE knowledge_vectors SET (vacuum_index_cleanup = off);

-- Interactions: a query with everything the hub answered, partitioned by UTC day.
-- asked_at is the time inside interaction_id (a UUIDv7): the pair is unique when the id is.
CREATE TABLE interaction_log (
    interaction_id   text NOT NULL,
    asked_at         timestamptz NOT NULL,
    ingested_at      timestamptz NOT NULL DEFAULT now(),
    session_id       text NOT NULL,
    request_id       text,
    query_text       text NOT NULL,
    outcome          text NOT NULL,
    confused_because text,
    intent           text,
    confidence       double precision,
    alternatives     jsonb NOT NULL DEFAULT '[]',
    result_ids       text[] NOT NULL DEFAULT '{}',
    degraded         text[] NOT NULL DEFAULT '{}',
    is_crisis        boolean NOT NULL DEFAULT false,
    model_version    text,
    embedding_space  text,
    timings_ms       jsonb NOT NULL DEFAULT '{}',
    feedback_score   smallint CHECK (feedback_score IN (-1, 1)),
    feedback_comment text,
    feedback_at      timestamptz,
    PRIMARY KEY (asked_at, interaction_id)
) PARTITION BY RANGE (asked_at);
CREATE INDEX interaction_log_session ON interaction_log (session_id, asked_at);
CREATE INDEX interaction_log_ingested ON interaction_log (ingested_at);

-- A row whose day has no partition yet must not be refused: it lands here.
CREATE TABLE interaction_log_default PARTITION OF interaction_log DEFAULT;

-- Feedback that overtook its interaction waits here until the interaction arrives.
CREATE TABLE pending_feedback (
    interaction_id text PRIMARY KEY,
    asked_at       timestamptz NOT NULL,
    score          smallint NOT NULL CHECK (score IN (-1, 1)),
    comment        text,
    given_at       timestamptz NOT NULL
);

-- The first answer to a session's request_id, kept 24 h. `answer` is null while it is being made.
CREATE TABLE request_claims (
    session_id  text NOT NULL,
    request_id  text NOT NULL,
    text_digest text NOT NULL,
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    answer      jsonb,
    PRIMARY KEY (session_id, request_id)
);
CREATE INDEX request_claims_claimed_at ON request_claims (claimed_at);
