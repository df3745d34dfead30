-- What every emulator's state has, by name.
-- Instants are microseconds since 1970, on the emulator's own clock.

-- name: common_schema
CREATE TABLE emulator (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    -- What the own clock is ahead of the real one, in microseconds.
    clock_offset  INTEGER NOT NULL DEFAULT 0,
    -- Goes into the ids, so that no id comes back after a reset.
    resets        INTEGER NOT NULL DEFAULT 0
);
INSERT INTO emulator (one) VALUES (1);

CREATE TABLE requests (
    operation     TEXT PRIMARY KEY,
    count         INTEGER NOT NULL
) WITHOUT ROWID;

-- name: clock_offset
SELECT clock_offset FROM emulator

-- name: advance_clock
UPDATE emulator SET clock_offset = clock_offset + :by

-- name: resets
SELECT resets FROM emulator

-- name: requests
SELECT operation, count FROM requests

-- name: count_request
INSERT INTO requests (operation, count) VALUES (:operation, :count)
ON CONFLICT (operation) DO UPDATE SET count = count + excluded.count

-- name: common_reset
DELETE FROM requests;
UPDATE emulator SET clock_offset = 0, resets = resets + 1;
