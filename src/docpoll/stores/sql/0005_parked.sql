-- Schema 5: names that deliveries spoke of before the answer that gives them to a job was stored.

-- The few submits on their way, among however many that are waiting.
CREATE INDEX jobs_on_their_way ON jobs (account_id) WHERE sent_at IS NOT NULL AND state IN ('PENDING', 'UNCERTAIN');

-- Of a place, not of an account: two labels may stand for one at the vendor.
CREATE TABLE parked (
    seq       INTEGER PRIMARY KEY,
    provider  TEXT NOT NULL,
    origin    TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    parked_at INTEGER NOT NULL,
    UNIQUE (provider, origin, remote_id)
);
