-- The feedback loop: who reviews, what they are asked, what they said, and what that proves.

-- `name` is what a person signs in with; an account for single sign-on is named by its e-mail
-- address and has no password. Accounts are disabled, never deleted: their labels keep the name.
CREATE TABLE reviewers (
    name          text PRIMARY KEY CHECK (name = lower(btrim(name)) AND name <> ''),
    role          text NOT NULL CHECK (role IN ('reviewer', 'lead')),
    password_hash text,
    added_at      timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

-- Wrong passwords in a row, by the name that was typed, whether or not such an account exists:
-- what is refused, and when, must not tell which names there are.
CREATE TABLE sign_in_failures (
    name           text PRIMARY KEY,
    failures       integer NOT NULL,
    last_failed_at timestamptz NOT NULL
);

-- Sessions of scripts/simulate_traffic.py and of load tests. An interaction's source is
-- 'simulated' when its session is here, else 'real'.
CREATE TABLE simulated_sessions (
    session_id text PRIMARY KEY,
    added_at   timestamptz NOT NULL DEFAULT now()
);

-- Sessions that were erased. Every reader of snapshots leaves their rows out, also those that
-- were written before. `subject_digest` is for what has to be found without the session's id.
CREATE TABLE erased_sessions (
    session_id     text PRIMARY KEY,
    erased_at      timestamptz NOT NULL DEFAULT now(),
    subject_digest text
);

-- What a reviewer is asked: one query that stands for its near-duplicates, with what the hub
-- answered. `item_id` is the interaction_id of that query. A lease keeps it to one reviewer.
CREATE TABLE review_items (
    item_id       text PRIMARY KEY,
    query_text    text NOT NULL,
    reason        text NOT NULL CHECK (reason IN ('doubtful', 'thumbs_down', 'audit')),
    priority      double precision NOT NULL,
    asked_at      timestamptz NOT NULL,
    model_version text,
    intent        text,
    confidence    double precision,
    alternatives  jsonb NOT NULL DEFAULT '[]',
    outcome       text NOT NULL,
    result_ids    text[] NOT NULL DEFAULT '{}',
    source        text NOT NULL CHECK (source IN ('real', 'simulated')),
    made_at       timestamptz NOT NULL DEFAULT now(),
    leased_by     text REFERENCES reviewers (name),
    leased_until  timestamptz,
    CHECK ((leased_by IS NULL) = (leased_until IS NULL))
);
CREATE INDEX review_items_priority ON review_items (priority DESC, item_id);

-- The interactions that an item stands for, the representative included.
CREATE TABLE review_members (
    interaction_id text PRIMARY KEY,
    item_id        text NOT NULL REFERENCES review_items (item_id) ON DELETE CASCADE,
    session_id     text NOT NULL
);
CREATE INDEX review_members_item ON review_members (item_id);
CREATE INDEX review_members_session ON review_members (session_id);

-- What a reviewer said: an intent's name, 'out_of_scope' or 'unclear'. `role` is the one held when
-- saying it: a later change of role does not change what an earlier label is worth. Undo retracts.
CREATE TABLE labels (
    label_id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    item_id          text NOT NULL REFERENCES review_items (item_id) ON DELETE CASCADE,
    reviewer         text NOT NULL REFERENCES reviewers (name),
    role             text NOT NULL CHECK (role IN ('reviewer', 'lead')),
    intent           text NOT NULL,
    labelled_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    model_version    text,
    model_intent     text,
    model_confidence double precision,
    source           text NOT NULL CHECK (source IN ('real', 'simulated')),
    retracted_at     timestamptz
);
-- One person has one say on an item, from however many windows.
CREATE UNIQUE INDEX labels_one_active ON labels (item_id, reviewer) WHERE retracted_at IS NULL;
CREATE INDEX labels_item ON labels (item_id);
CREATE INDEX labels_reviewer ON labels (reviewer, labelled_at);

-- A lead's label decides once somebody else has labelled the item too (leads who disagree decide
-- nothing); without a lead's, the one intent that two different reviewers gave, when no other has
-- two as well. So it takes two people, whatever their roles; and 'unclear' is no intent.
-- `verified_at` is never before the state that is shown came about: undoing may have made it. It
-- and `members` are looked up for the rows that are read, so that counting them costs little.
CREATE VIEW verified_labels AS
WITH said AS (
    SELECT item_id, intent, count(*) AS people, bool_or(role = 'lead') AS by_lead
    FROM labels
    WHERE retracted_at IS NULL
    GROUP BY item_id, intent
), judged AS (
    SELECT item_id,
           count(*) FILTER (WHERE by_lead) AS lead_intents,
           max(intent) FILTER (WHERE by_lead) AS lead_intent,
           count(*) FILTER (WHERE people >= 2) AS agreed_intents,
           max(intent) FILTER (WHERE people >= 2) AS agreed_intent
    FROM said
    GROUP BY item_id
    HAVING sum(people) >= 2
), decided AS (
    SELECT item_id,
           CASE lead_intents WHEN 1 THEN lead_intent ELSE agreed_intent END AS intent,
           CASE lead_intents WHEN 1 THEN 'lead' ELSE 'agreement' END AS verified_by
    FROM judged
    WHERE CASE lead_intents WHEN 0 THEN agreed_intents = 1 ELSE lead_intents = 1 END
)
SELECT item.item_id,
       item.query_text,
       decided.intent,
       (SELECT greatest(
                   -- the second person, of all or of those who agreed, and the lead
                   (array_agg(label.labelled_at ORDER BY label.labelled_at)
                    FILTER (WHERE label.retracted_at IS NULL
                                  AND (decided.verified_by = 'lead'
                                       OR label.intent = decided.intent)))[2],
                   min(label.labelled_at)
                   FILTER (WHERE label.retracted_at IS NULL AND label.role = 'lead'),
                   max(label.retracted_at))
        FROM labels AS label
        WHERE label.item_id = item.item_id) AS verified_at,
       decided.verified_by,
       item.source,
       item.model_version,
       (SELECT count(*) FROM review_members AS member WHERE member.item_id = item.item_id)
           AS members
FROM decided
JOIN review_items AS item ON item.item_id = decided.item_id
WHERE decided.intent <> 'unclear';
