-- Where COPY puts nodes on their way to knowledge_nodes.
CREATE TEMPORARY TABLE incoming_nodes (
    id     text COLLATE "C" NOT NULL,
    title  text NOT NULL,
    body   text NOT NULL,
    url    text NOT NULL,
    intent text NOT NULL,
    tags   text[] NOT NULL
) ON COMMIT DROP
