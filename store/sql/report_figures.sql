-- What was asked and how it went: in all, over time, by intent and by model version, real and
-- simulated apart. A session has one thumb a text, its last: nobody outvotes the others.
WITH asked AS MATERIALIZED (
    SELECT log.interaction_id, log.session_id, log.intent, log.model_version, log.feedback_score,
           CASE WHEN simulated.session_id IS NULL THEN 'real' ELSE 'simulated' END AS source,
           date_trunc(%(step)s, log.asked_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS moment,
           log.outcome <> 'answered' AS is_confused,
           coalesce(log.confidence < %(answer_from)s, false) AS is_low,
           CASE WHEN log.feedback_score IS NOT NULL THEN
               row_number() OVER (
                   PARTITION BY log.feedback_score IS NOT NULL, log.session_id,
                       CASE WHEN log.feedback_score IS NOT NULL THEN
                           btrim(regexp_replace(
                               lower(normalize(log.query_text, NFKC)), '\s+', ' ', 'g'
                           ))
                       END
                   ORDER BY log.feedback_at DESC, log.interaction_id
               ) = 1
           END AS is_last_thumb
    FROM interaction_log AS log
    LEFT JOIN simulated_sessions AS simulated ON simulated.session_id = log.session_id
    WHERE log.asked_at >= %(since)s AND log.asked_at < %(until)s
)
SELECT source,
       CASE WHEN grouping(moment) = 0 THEN 'moment' WHEN grouping(intent) = 0 THEN 'intent'
            WHEN grouping(model_version) = 0 THEN 'model_version' ELSE 'all' END AS facet,
       moment, coalesce(intent, model_version) AS name,
       count(*) AS queries,
       count(DISTINCT session_id) AS sessions,
       count(*) FILTER (WHERE is_confused) AS confused,
       count(*) FILTER (WHERE is_low) AS low_confidence,
       count(*) FILTER (WHERE is_last_thumb AND feedback_score = 1) AS thumbs_up,
       count(*) FILTER (WHERE is_last_thumb AND feedback_score = -1) AS thumbs_down
FROM asked
GROUP BY GROUPING SETS ((source), (source, moment), (source, intent), (source, model_version))
ORDER BY source, facet, moment, queries DESC, name
