-- The days on which thumbs wait; both are null when none does.
SELECT min(asked_at), max(asked_at) FROM pending_feedback
