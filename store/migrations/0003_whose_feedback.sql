-- Whose a thumb is that waits for its interaction: an erased person's is not kept, also when its
-- interaction never comes. Null in what older code wrote.
ALTER TABLE pending_feedback ADD COLUMN session_id text;
