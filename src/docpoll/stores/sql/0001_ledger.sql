-- Schema 1: the ledger.
-- Instants are microseconds since 1970-01-01 UTC. Text that is not valid Unicode (file names) is kept as a BLOB.

CREATE TABLE accounts (
    id         INTEGER PRIMARY KEY,
    provider   TEXT NOT NULL,
    account    TEXT NOT NULL,
    origin     TEXT NOT NULL,
    suspect    TEXT,                     -- why, while the account is suspect
    suspect_at INTEGER,
    UNIQUE (provider, account, origin)
);

CREATE TABLE owners (
    epoch   INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, also after its row has gone
    id      TEXT NOT NULL UNIQUE,
    seen_at INTEGER NOT NULL,
    pid     INTEGER NOT NULL,
    host    TEXT NOT NULL
);

-- Owners that have ended while jobs still carry their epoch: those jobs are nobody's until they are claimed.
-- Rewriting a hundred thousand rows at a takeover would take seconds.
CREATE TABLE ended_owners (
    epoch INTEGER PRIMARY KEY
);

CREATE TABLE jobs (
    seq                INTEGER PRIMARY KEY,     -- the order they came in
    id                 TEXT NOT NULL UNIQUE,
    key                TEXT NOT NULL,
    key_version        INTEGER NOT NULL,        -- of the recipe that made the key
    attempt            INTEGER NOT NULL,
    retry_of           TEXT,
    account_id         INTEGER NOT NULL REFERENCES accounts (id),
    owner              INTEGER,                 -- an epoch; 0: never owned, yet wanted; NULL: nothing is left to do
    state              TEXT NOT NULL,
    source             TEXT NOT NULL,
    digest             TEXT NOT NULL,
    name               TEXT NOT NULL,
    size               INTEGER NOT NULL,
    media_type         TEXT,
    path               TEXT,
    options            TEXT NOT NULL,           -- JSON
    remote_id          TEXT,
    created_at         INTEGER NOT NULL,
    sent_at            INTEGER,
    accepted_at        INTEGER,
    finished_at        INTEGER,
    changed_at         INTEGER,
    purged_at          INTEGER,
    next_poll_at       INTEGER,
    earliest_expiry_at INTEGER,
    polls              INTEGER NOT NULL,
    status             TEXT,
    error              TEXT,                    -- JSON
    trouble            TEXT,
    enveloped          INTEGER NOT NULL,
    not_found_at       INTEGER,
    bad_answer_at      INTEGER,
    finish_claimed     INTEGER NOT NULL
);

CREATE UNIQUE INDEX jobs_key ON jobs (key, attempt);
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_remote_id ON jobs (remote_id) WHERE remote_id IS NOT NULL;

-- Wanted jobs only, and all that `claim` and `summary` need of them, so neither reads the table.
CREATE INDEX jobs_wanted ON jobs (owner, account_id, earliest_expiry_at, seq, state, changed_at, created_at)
    WHERE owner IS NOT NULL;

CREATE VIEW job_rows AS
SELECT
    jobs.id, jobs.key, jobs.attempt, jobs.retry_of,
    accounts.provider, accounts.account, accounts.origin,
    jobs.state, jobs.source, jobs.digest, jobs.name, jobs.size, jobs.media_type, jobs.path, jobs.options,
    jobs.remote_id, jobs.created_at, jobs.sent_at, jobs.accepted_at, jobs.finished_at, jobs.changed_at,
    jobs.purged_at, jobs.next_poll_at, jobs.earliest_expiry_at, jobs.polls, jobs.status, jobs.error, jobs.trouble,
    jobs.enveloped, jobs.not_found_at, jobs.bad_answer_at, jobs.finish_claimed,
    jobs.seq, jobs.owner
FROM jobs JOIN accounts ON accounts.id = jobs.account_id;

-- How many jobs are in each state, kept as they change: counting a million rows takes too long.
CREATE TABLE counts (
    account_id INTEGER NOT NULL,
    state      TEXT NOT NULL,
    jobs       INTEGER NOT NULL,
    PRIMARY KEY (account_id, state)
) WITHOUT ROWID;

CREATE TRIGGER count_entered AFTER INSERT ON jobs
BEGIN
    INSERT INTO counts VALUES (new.account_id, new.state, 1)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER count_moved AFTER UPDATE OF state ON jobs WHEN old.state <> new.state
BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE account_id = old.account_id AND state = old.state;
    INSERT INTO counts VALUES (new.account_id, new.state, 1)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TABLE results (
    job  INTEGER PRIMARY KEY REFERENCES jobs (seq),
    body BLOB NOT NULL                          -- the whole answer, as it came, compressed with zstd
);

CREATE TABLE documents (
    digest  TEXT PRIMARY KEY,
    content BLOB NOT NULL
);

-- The jobs that still need the bytes of a document; the last one to drop them deletes them.
CREATE TABLE document_uses (
    digest TEXT NOT NULL,
    job    INTEGER NOT NULL REFERENCES jobs (seq),
    PRIMARY KEY (digest, job)
) WITHOUT ROWID;

-- What is asked of a job's owner. It stays with the job, so it reaches whoever takes the job over.
CREATE TABLE wishes (
    seq  INTEGER PRIMARY KEY,
    job  INTEGER NOT NULL REFERENCES jobs (seq),
    kind TEXT NOT NULL,
    UNIQUE (job, kind)
);
