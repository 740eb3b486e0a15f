-- Leases the next item to a reviewer and returns its id. Others' locked rows are skipped, not
-- waited for. What one other person has labelled already comes first: it is a step from verified.
-- What this reviewer has leased in another window, or before a reload, comes last of all.
UPDATE review_items
SET leased_by = %(reviewer)s,
    leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE item_id = (
    SELECT item.item_id
    FROM review_items AS item
    WHERE (item.leased_by IS NULL OR item.leased_until <= clock_timestamp()
           OR item.leased_by = %(reviewer)s)
      AND item.item_id <> ALL (%(holding)s::text[])
      AND NOT EXISTS (
          SELECT FROM labels AS mine
          WHERE mine.item_id = item.item_id AND mine.reviewer = %(reviewer)s
            AND mine.retracted_at IS NULL)
      AND NOT EXISTS (
          SELECT FROM verified_labels AS verified WHERE verified.item_id = item.item_id)
      -- Two people found it unclear: a third would lose time on it too.
      AND (SELECT count(*) FROM labels AS doubt
           WHERE doubt.item_id = item.item_id AND doubt.intent = 'unclear'
             AND doubt.retracted_at IS NULL) < 2
    ORDER BY (item.leased_by = %(reviewer)s AND item.leased_until > clock_timestamp())
                 IS TRUE,
             EXISTS (SELECT FROM labels AS other
                     WHERE other.item_id = item.item_id AND other.retracted_at IS NULL) DESC,
             item.priority DESC,
             item.item_id
    LIMIT 1
    FOR UPDATE OF item SKIP LOCKED
)
RETURNING item_id
