-- One statement for a whole batch; a row that is there already stays as it is. Ordered, so that
-- two hubs that store the same rows (an adopted spool) never wait for each other in a circle.
-- What a session asked that was erased since is not kept, however late it comes.
INSERT INTO interaction_log (
    interaction_id, asked_at, session_id, request_id, query_text, outcome, confused_because,
    intent, confidence, alternatives, result_ids, degraded, is_crisis, model_version,
    embedding_space, timings_ms
)
SELECT
    interaction_id, asked_at, session_id, request_id, query_text, outcome, confused_because,
    intent, confidence, alternatives,
    ARRAY(SELECT jsonb_array_elements_text(result_ids)),
    ARRAY(SELECT jsonb_array_elements_text(degraded)),
    is_crisis, model_version, embedding_space, timings_ms
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    interaction_id text, asked_at timestamptz, session_id text, request_id text, query_text text,
    outcome text, confused_because text, intent text, confidence double precision,
    alternatives jsonb, result_ids jsonb, degraded jsonb, is_crisis boolean, model_version text,
    embedding_space text, timings_ms jsonb
)
WHERE NOT EXISTS (
    SELECT FROM erased_sessions AS erased WHERE erased.session_id = row.session_id
)
ORDER BY asked_at, interaction_id
ON CONFLICT (asked_at, interaction_id) DO NOTHING
