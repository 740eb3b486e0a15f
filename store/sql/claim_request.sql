-- Claim a request_id for 24 h. Of two who come at once, one is told that the claim is its own.
INSERT INTO request_claims AS claim (session_id, request_id, text_digest)
VALUES (%(session_id)s, %(request_id)s, %(text_digest)s)
ON CONFLICT (session_id, request_id) DO UPDATE
SET text_digest = excluded.text_digest, claimed_at = now(), answer = NULL
WHERE claim.claimed_at < now() - interval '24 hours'
   OR (claim.answer IS NULL AND claim.claimed_at < now() - interval '15 seconds')
RETURNING true
