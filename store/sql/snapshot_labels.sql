-- Every label in force, in the columns and the order of the dataset.
SELECT label.label_id, label.item_id, asker.session_id, item.query_text, item.reason,
       item.asked_at, label.reviewer, label.role, label.intent, label.labelled_at,
       label.model_version, label.model_intent, label.model_confidence, label.source,
       (
           SELECT jsonb_agg(
               jsonb_build_object(
                   'interaction_id', member.interaction_id, 'session_id', member.session_id
               ) ORDER BY member.interaction_id COLLATE "C"
           )
           FROM review_members AS member
           WHERE member.item_id = label.item_id
             AND NOT EXISTS (
                 SELECT FROM erased_sessions AS erased
                 WHERE erased.session_id = member.session_id
             )
       ) AS members,
       verified.intent AS verified_intent, verified.verified_at, verified.verified_by
FROM labels AS label
JOIN review_items AS item ON item.item_id = label.item_id
LEFT JOIN review_members AS asker ON asker.interaction_id = item.item_id
LEFT JOIN verified_labels AS verified ON verified.item_id = label.item_id
WHERE label.retracted_at IS NULL
  AND NOT EXISTS (
      SELECT FROM erased_sessions AS erased WHERE erased.session_id = asker.session_id
  )
ORDER BY label.label_id
