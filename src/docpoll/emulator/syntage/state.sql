-- Every statement of the emulated Syntage's state, by name, beside those in statefile.sql.
-- Instants are microseconds since 1970, on the emulator's own clock.

-- name: schema
-- Extractions, entities, events and the rest: one row each, what is in it as JSON.
CREATE TABLE things (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    id          TEXT NOT NULL,
    -- What things of the kind are also found by.
    name        TEXT,
    created_at  INTEGER NOT NULL,
    -- When something happens to it by itself.
    due_at      INTEGER,
    body        BLOB NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX things_by_time ON things (kind, created_at);
CREATE INDEX things_by_name ON things (kind, name) WHERE name IS NOT NULL;
CREATE INDEX things_due ON things (due_at, number) WHERE due_at IS NOT NULL AND kind <> 'delivery';
CREATE INDEX deliveries_due ON things (due_at, number) WHERE due_at IS NOT NULL AND kind = 'delivery';

-- How often an extraction was looked at.
CREATE TABLE polls (
    id          TEXT PRIMARY KEY,
    count       INTEGER NOT NULL
) WITHOUT ROWID;

-- name: next_number
SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'things'

-- name: add
INSERT INTO things (kind, id, name, created_at, due_at, body)
VALUES (:kind, :id, :name, :created_at, :due_at, :body)

-- name: put
UPDATE things SET name = :name, due_at = :due_at, body = :body WHERE kind = :kind AND id = :id

-- name: drop
DELETE FROM things WHERE kind = :kind AND id = :id

-- name: drop_before
DELETE FROM things WHERE kind = :kind AND created_at < :before

-- name: any_before
SELECT 1 FROM things WHERE kind = :kind AND created_at < :before LIMIT 1

-- name: get
SELECT body FROM things WHERE kind = :kind AND id = :id

-- name: all
SELECT body FROM things WHERE kind = :kind AND created_at BETWEEN :first AND :last ORDER BY id DESC

-- name: named
SELECT body FROM things WHERE kind = :kind AND name = :name ORDER BY number

-- name: first_due
SELECT kind, body FROM things WHERE due_at IS NOT NULL AND kind <> 'delivery' AND due_at <= :at
ORDER BY due_at, number LIMIT 1

-- name: deliveries_due
SELECT body FROM things WHERE due_at IS NOT NULL AND kind = 'delivery' AND due_at <= :at
ORDER BY due_at, number LIMIT :limit

-- name: next_due
SELECT min(due_at) AS due_at FROM things WHERE due_at IS NOT NULL

-- name: polls
SELECT id, count FROM polls

-- name: polls_of
SELECT count FROM polls WHERE id = :id

-- name: count_polls
INSERT INTO polls (id, count) VALUES (:id, :count)
ON CONFLICT (id) DO UPDATE SET count = count + excluded.count

-- name: reset
DELETE FROM things;
DELETE FROM polls;
DELETE FROM sqlite_sequence WHERE name = 'things';
