-- Schema 2: what is known of lost answers, the budget that processes share, and what the vendor did against its rules.

ALTER TABLE jobs ADD COLUMN lost_sent_at INTEGER;
ALTER TABLE jobs ADD COLUMN lost_at INTEGER;

-- A request may take a minute, and what its upload takes at 50 kB a second; a document is a third longer in base64.
UPDATE jobs
SET lost_sent_at = sent_at,
    lost_at = max(min(coalesce(changed_at, sent_at), sent_at + 60000000 + size * 80 / 3), sent_at)
WHERE state IN ('UNCERTAIN', 'CANCELLED') AND sent_at IS NOT NULL AND remote_id IS NULL;

-- The few jobs of which a submit may have arrived without our knowing.
CREATE INDEX jobs_lost ON jobs (account_id) WHERE lost_at IS NOT NULL;

DROP VIEW job_rows;

CREATE VIEW job_rows AS
SELECT
    jobs.id, jobs.key, jobs.attempt, jobs.retry_of,
    accounts.provider, accounts.account, accounts.origin,
    jobs.state, jobs.source, jobs.digest, jobs.name, jobs.size, jobs.media_type, jobs.path, jobs.options,
    jobs.remote_id, jobs.created_at, jobs.sent_at, jobs.accepted_at, jobs.finished_at, jobs.changed_at,
    jobs.purged_at, jobs.next_poll_at, jobs.earliest_expiry_at, jobs.polls, jobs.status, jobs.error, jobs.trouble,
    jobs.enveloped, jobs.not_found_at, jobs.bad_answer_at, jobs.finish_claimed, jobs.lost_sent_at, jobs.lost_at,
    jobs.seq, jobs.owner
FROM jobs JOIN accounts ON accounts.id = jobs.account_id;

-- Names that the vendor listed and that no job has: one of them may be that of a submit whose answer was lost.
-- A vendor may list a job only until it has finished, or only once.
CREATE TABLE sightings (
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    remote_id  TEXT NOT NULL,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, remote_id)
) WITHOUT ROWID;

-- How fast an account may be asked, as all processes together have learned it.
CREATE TABLE budgets (
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    scope      TEXT NOT NULL,
    state      TEXT NOT NULL,                   -- JSON, see `docpoll.budget`
    PRIMARY KEY (account_id, scope)
) WITHOUT ROWID;

-- What the vendor did against its own rules.
CREATE TABLE suspicions (
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    kind       TEXT NOT NULL,
    times      INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    example    TEXT NOT NULL,                   -- what was said of the last one
    PRIMARY KEY (account_id, kind)
) WITHOUT ROWID;
