-- Leases the next item to a reviewer and returns its id. Others' locked rows are skipped, not
-- waited for. What somebody else has labelled already comes first: it is a step from verified. Then
-- what students asked, before what was simulated.
-- What this reviewer has leased in another window, or before a reload, comes last of all.
-- Materialized: one pass over the labels, whatever the planner thinks of a table that just grew.
WITH said AS MATERIALIZED (
    SELECT item_id,
           bool_or(reviewer = %(reviewer)s) AS is_mine,
           count(*) FILTER (WHERE intent = 'unclear') AS unclear
    FROM labels
    WHERE retracted_at IS NULL
    GROUP BY item_id
), verified AS MATERIALIZED (
    SELECT item_id FROM verified_labels
)
UPDATE review_items
SET leased_by = %(reviewer)s,
    leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE item_id = (
    SELECT item.item_id
    FROM review_items AS item
    LEFT JOIN said ON said.item_id = item.item_id
    LEFT JOIN verified ON verified.item_id = item.item_id
    WHERE (item.leased_by IS NULL OR item.leased_until <= clock_timestamp()
           OR item.leased_by = %(reviewer)s)
      AND item.item_id <> ALL (%(holding)s::text[])
      AND said.is_mine IS NOT TRUE
      AND verified.item_id IS NULL
      -- Two people found it unclear: a third would lose time on it too.
      AND coalesce(said.unclear, 0) < 2
    ORDER BY (item.leased_by = %(reviewer)s AND item.leased_until > clock_timestamp()) IS TRUE,
             said.item_id IS NULL,
             item.source = 'simulated',
             item.priority DESC,
             item.item_id
    LIMIT 1
    FOR UPDATE OF item SKIP LOCKED
)
RETURNING item_id
