-- Counts a try as failed before it is looked at, and returns the seconds that it has to wait: above
-- 0 it is neither counted nor looked at. One row a name, so that tries at once take turns.
WITH forgotten AS (
    DELETE FROM sign_in_failures
    WHERE last_failed_at < now() - interval '1 day' AND name <> %(name)s
), counted AS (
    INSERT INTO sign_in_failures AS kept (name, failures, last_failed_at)
    VALUES (%(name)s, 1, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
        failures = CASE WHEN kept.last_failed_at < now() - interval '1 day' THEN 1
                        ELSE kept.failures + 1 END,
        last_failed_at = clock_timestamp()
    WHERE kept.failures < %(free)s
       OR clock_timestamp() >= kept.last_failed_at + make_interval(secs => least(
              %(longest_s)s, %(first_s)s * 2.0 ^ least(kept.failures - %(free)s, 30)))
    RETURNING 0.0 AS wait_s
)
SELECT wait_s FROM counted
UNION ALL
SELECT greatest(1, extract(epoch FROM kept.last_failed_at - clock_timestamp()) + least(
           %(longest_s)s, %(first_s)s * 2.0 ^ least(kept.failures - %(free)s, 30)))
FROM sign_in_failures AS kept
WHERE kept.name = %(name)s AND NOT EXISTS (SELECT FROM counted)
