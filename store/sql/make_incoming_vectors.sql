-- Where COPY puts vectors on their way to knowledge_vectors.
CREATE TEMPORARY TABLE incoming_vectors (
    id        text COLLATE "C" NOT NULL,
    digest    text NOT NULL,
    embedding vector NOT NULL
) ON COMMIT DROP
