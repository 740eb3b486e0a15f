-- Knowledge: what the university wrote, and its vectors, one row per node and vector space.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE knowledge_nodes (
    id          text PRIMARY KEY,
    title       text NOT NULL,
    body        text NOT NULL,
    url         text NOT NULL,
    intent      text NOT NULL,
    tags        text[] NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT now(),
    search_text tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', body), 'B')
    ) STORED
);
CREATE INDEX knowledge_nodes_search_text ON knowledge_nodes USING gin (search_text);
CREATE INDEX knowledge_nodes_tags ON knowledge_nodes USING gin (tags);

-- A vector space is named by its fingerprint; `id` is the small number inside the vectors' rows
-- and in the name of the space's own HNSW index.
CREATE TABLE vector_spaces (
    id          integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    fingerprint text NOT NULL UNIQUE,
    dims        integer NOT NULL CHECK (dims BETWEEN 1 AND 2000),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- `embedding` has no fixed width, so that spaces of different dims stand side by side; the check
-- in the partial index's cast refuses a vector of the wrong width. `source_digest` says which text
-- the vector was made of, so that a resumed load knows what is done.
CREATE TABLE knowledge_vectors (
    space_id      integer NOT NULL REFERENCES vector_spaces (id) ON DELETE CASCADE,
    node_id       text NOT NULL REFERENCES knowledge_nodes (id) ON DELETE CASCADE,
    source_digest text NOT NULL,
    embedding     vector NOT NULL,
    PRIMARY KEY (space_id, node_id)
);

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
