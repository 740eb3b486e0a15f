-- One label, with the role held now and what the model had said. No row when the item or the
-- account is gone, or when this reviewer has labelled the item already.
INSERT INTO labels (
    item_id, reviewer, role, intent, model_version, model_intent, model_confidence, source
)
SELECT item.item_id, reviewer.name, reviewer.role, %(intent)s, item.model_version, item.intent,
       item.confidence, item.source
FROM review_items AS item, reviewers AS reviewer
WHERE item.item_id = %(item_id)s
  AND reviewer.name = %(reviewer)s AND reviewer.disabled_at IS NULL
ON CONFLICT (item_id, reviewer) WHERE retracted_at IS NULL DO NOTHING
RETURNING label_id, item_id, reviewer, role, intent, labelled_at, model_version, model_intent,
          model_confidence, source
