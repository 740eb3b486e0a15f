-- The questions that were not answered, equal ones folded; those that most sessions asked first.
SELECT source, folded, queries, sessions, intent, because
FROM (
    SELECT counted.*,
           row_number() OVER (
               PARTITION BY source ORDER BY sessions DESC, queries DESC, folded COLLATE "C"
           ) AS place
    FROM (
        SELECT source, folded, count(*) AS queries, count(DISTINCT session_id) AS sessions,
               mode() WITHIN GROUP (ORDER BY intent) AS intent,
               mode() WITHIN GROUP (ORDER BY confused_because) AS because
        FROM (
            SELECT log.session_id, log.intent, log.confused_because,
                   CASE WHEN simulated.session_id IS NULL THEN 'real' ELSE 'simulated' END
                       AS source,
                   btrim(regexp_replace(
                       lower(normalize(log.query_text, NFKC)), '\s+', ' ', 'g'
                   )) AS folded
            FROM interaction_log AS log
            LEFT JOIN simulated_sessions AS simulated ON simulated.session_id = log.session_id
            WHERE log.asked_at >= %(since)s AND log.asked_at < %(until)s
              AND log.outcome <> 'answered'
        ) AS unanswered
        GROUP BY source, folded
    ) AS counted
) AS placed
WHERE place <= %(limit)s
ORDER BY source, place
