-- Every statement of the emulator's state, by name.
-- Instants are microseconds since 1970, on the emulator's own clock.

-- name: schema
-- The bytes of a document, from its arrival until it has been read.
CREATE TABLE documents (
    digest        TEXT NOT NULL,
    suffix        TEXT NOT NULL,
    file_name     TEXT NOT NULL,
    arrival       INTEGER NOT NULL,
    content       BLOB NOT NULL,
    PRIMARY KEY (digest, suffix)
);
CREATE INDEX documents_by_arrival ON documents (arrival);

-- What was read out of a document: `result` or `error`, as JSON.
CREATE TABLE readings (
    id            INTEGER PRIMARY KEY,
    digest        TEXT NOT NULL,
    suffix        TEXT NOT NULL,
    read_at       INTEGER NOT NULL,
    result        BLOB,
    error         BLOB,
    CHECK ((result IS NULL) <> (error IS NULL))
);
CREATE INDEX readings_by_digest ON readings (digest, suffix);

CREATE TABLE jobs (
    arrival             INTEGER PRIMARY KEY AUTOINCREMENT,
    extraction_id       TEXT NOT NULL UNIQUE,
    object_id           TEXT NOT NULL,
    digest              TEXT NOT NULL,
    suffix              TEXT NOT NULL,
    -- How many times the same bytes had arrived before.
    nth                 INTEGER NOT NULL,
    file_name           TEXT NOT NULL,
    customer            TEXT,
    document_type_name  TEXT NOT NULL,
    text_blocks         INTEGER NOT NULL,
    received_at         INTEGER NOT NULL,
    -- The processing time is over.
    ready_at            INTEGER NOT NULL,
    -- Ready and read; null until read, and it may lie ahead.
    finished_at         INTEGER,
    reading             INTEGER REFERENCES readings (id),
    fetched             INTEGER NOT NULL DEFAULT 0,
    expired             INTEGER NOT NULL DEFAULT 0,
    polls               INTEGER NOT NULL DEFAULT 0,
    -- Where the document lies on this machine; null where nobody says.
    path                TEXT
);
CREATE INDEX jobs_by_digest ON jobs (digest, nth);
CREATE INDEX jobs_by_reading ON jobs (reading);
CREATE INDEX jobs_unread ON jobs (digest, suffix) WHERE finished_at IS NULL;
CREATE INDEX jobs_awaiting ON jobs (arrival) WHERE fetched = 0 AND expired = 0;
CREATE INDEX jobs_lasting ON jobs (finished_at) WHERE expired = 0;

-- Webhook calls that are still to be made.
CREATE TABLE deliveries (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The job it speaks of; a forged one may speak of none there is.
    extraction_id  TEXT NOT NULL,
    url            TEXT NOT NULL,
    -- What is wrong with it; null: nothing.
    fault          TEXT,
    -- How long after what it tells of it is made.
    held           INTEGER NOT NULL,
    -- When that happened, and when it is made; null until the job has finished.
    event_at       INTEGER,
    due_at         INTEGER,
    failures       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_due ON deliveries (due_at, number);
CREATE INDEX deliveries_waiting ON deliveries (extraction_id) WHERE due_at IS NULL;

-- name: migrate_1
ALTER TABLE jobs ADD COLUMN path TEXT

-- name: migrate_2
CREATE TABLE deliveries (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The job it speaks of; a forged one may speak of none there is.
    extraction_id  TEXT NOT NULL,
    url            TEXT NOT NULL,
    -- What is wrong with it; null: nothing.
    fault          TEXT,
    -- How long after what it tells of it is made.
    held           INTEGER NOT NULL,
    -- When that happened, and when it is made; null until the job has finished.
    event_at       INTEGER,
    due_at         INTEGER,
    failures       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_due ON deliveries (due_at, number);
CREATE INDEX deliveries_waiting ON deliveries (extraction_id) WHERE due_at IS NULL

-- name: arrivals
SELECT coalesce(max(nth) + 1, 0) FROM jobs WHERE digest = :digest

-- name: known_reading
SELECT id, read_at FROM readings WHERE digest = :digest AND suffix = :suffix AND result IS NOT NULL LIMIT 1

-- name: add_job
INSERT INTO jobs (
    extraction_id, object_id, digest, suffix, nth, file_name, customer, document_type_name, text_blocks,
    received_at, ready_at, finished_at, reading, path
) VALUES (
    :extraction_id, :object_id, :digest, :suffix, :nth, :file_name, :customer, :document_type_name, :text_blocks,
    :received_at, :ready_at, :finished_at, :reading, :path
)

-- The bytes are written into it afterwards, in pieces.
-- name: add_document
INSERT OR IGNORE INTO documents (digest, suffix, file_name, arrival, content)
VALUES (:digest, :suffix, :file_name, :arrival, zeroblob(:size))

-- name: job
SELECT jobs.*, readings.result, readings.error
FROM jobs LEFT JOIN readings ON readings.id = jobs.reading
WHERE jobs.extraction_id = :extraction_id

-- name: jobs
SELECT jobs.*, NULL AS result, readings.error
FROM jobs LEFT JOIN readings ON readings.id = jobs.reading
ORDER BY jobs.arrival

-- name: by_digest
SELECT digest, max(nth) + 1 AS count FROM jobs GROUP BY digest

-- name: awaiting
SELECT extraction_id FROM jobs
WHERE fetched = 0 AND expired = 0
  AND (:customer IS NULL OR customer = :customer)
  AND (
    (:unfinished AND (finished_at IS NULL OR finished_at > :now))
    OR (:finished AND finished_at <= :now AND finished_at > :expired_by)
  )
ORDER BY arrival

-- name: unread
SELECT digest, suffix FROM documents ORDER BY arrival

-- Of several places the newest is the likeliest still to be true.
-- name: document
SELECT rowid, file_name, (
    SELECT path FROM jobs
    WHERE jobs.digest = documents.digest AND jobs.suffix = documents.suffix
      AND jobs.finished_at IS NULL AND jobs.path IS NOT NULL
    ORDER BY arrival DESC LIMIT 1
) AS path
FROM documents WHERE digest = :digest AND suffix = :suffix

-- name: add_reading
INSERT INTO readings (digest, suffix, read_at, result, error) VALUES (:digest, :suffix, :read_at, :result, :error)

-- name: finish_jobs
UPDATE jobs SET reading = :reading, finished_at = max(ready_at, :read_at)
WHERE digest = :digest AND suffix = :suffix AND finished_at IS NULL

-- name: drop_reading
DELETE FROM readings WHERE id = :reading

-- name: drop_document
DELETE FROM documents WHERE digest = :digest AND suffix = :suffix

-- name: extractions
SELECT extraction_id FROM jobs WHERE extraction_id > :after ORDER BY extraction_id LIMIT :limit

-- name: delete_jobs
DELETE FROM jobs WHERE extraction_id IN (SELECT value FROM json_each(:ids)) RETURNING digest, suffix, reading

-- name: delete_deliveries
DELETE FROM deliveries WHERE extraction_id IN (SELECT value FROM json_each(:ids))

-- name: drop_reading_unless_used
DELETE FROM readings WHERE id = :reading AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.reading = readings.id)

-- name: drop_document_unless_used
DELETE FROM documents WHERE digest = :digest AND suffix = :suffix AND NOT EXISTS (
    SELECT 1 FROM jobs WHERE jobs.digest = documents.digest AND jobs.suffix = documents.suffix AND finished_at IS NULL
)

-- name: any_to_expire
SELECT 1 FROM jobs WHERE expired = 0 AND finished_at <= :expired_by LIMIT 1

-- name: expire_jobs
UPDATE jobs SET expired = 1, reading = NULL WHERE expired = 0 AND finished_at <= :expired_by

-- name: drop_unused_readings
DELETE FROM readings WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.reading = readings.id)

-- name: note_polls
UPDATE jobs SET polls = polls + :polls, fetched = max(fetched, :fetched) WHERE extraction_id = :extraction_id

-- name: unfinished
SELECT jobs.*, NULL AS result, readings.error
FROM jobs LEFT JOIN readings ON readings.id = jobs.reading
WHERE jobs.expired = 0 AND (jobs.finished_at IS NULL OR jobs.finished_at > :now)
ORDER BY jobs.arrival

-- Due with its job, or at an instant of its own; only where the job is there.
-- name: add_delivery
INSERT INTO deliveries (extraction_id, url, fault, held, event_at, due_at)
SELECT :about, :url, :fault, :held, coalesce(:at, finished_at), coalesce(:at, finished_at) + :held
FROM jobs WHERE extraction_id = :extraction_id

-- name: time_deliveries
UPDATE deliveries SET event_at = finished_at, due_at = finished_at + held
FROM jobs
WHERE deliveries.due_at IS NULL AND jobs.extraction_id = deliveries.extraction_id AND jobs.reading = :reading

-- name: drop_untimed
DELETE FROM deliveries
WHERE due_at IS NULL AND extraction_id IN (SELECT extraction_id FROM jobs WHERE reading = :reading)

-- name: any_delivery
SELECT 1 FROM deliveries LIMIT 1

-- name: next_delivery
SELECT min(due_at) AS due_at FROM deliveries WHERE due_at IS NOT NULL

-- name: deliveries_due
SELECT * FROM deliveries WHERE due_at <= :at ORDER BY due_at, number LIMIT :limit

-- name: put_off
UPDATE deliveries SET due_at = :due_at, failures = failures + 1 WHERE number = :number

-- name: drop_delivery
DELETE FROM deliveries WHERE number = :number

-- name: drop_deliveries
DELETE FROM deliveries

-- name: reset
DELETE FROM deliveries;
DELETE FROM jobs;
DELETE FROM readings;
DELETE FROM documents;
