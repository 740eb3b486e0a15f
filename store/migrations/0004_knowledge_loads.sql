-- How far a source that costs something to read has been read, by a load that has not ended. A page
-- of nodes and its place here are committed together; the load that ends removes its row.
CREATE TABLE knowledge_loads (
    source     text PRIMARY KEY,
    upto       text NOT NULL,
    good       integer NOT NULL,
    bad        integer NOT NULL,
    begun_at   timestamptz NOT NULL DEFAULT now()
);
