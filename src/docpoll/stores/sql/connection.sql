-- For every connection.

-- A commit survives a power cut: the log is flushed before it is reported.
PRAGMA synchronous = FULL;
-- macOS flushes only to the drive's own cache unless asked.
PRAGMA fullfsync = ON;
PRAGMA checkpoint_fullfsync = ON;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
-- KiB; keys are random, so entering jobs touches pages all over their index.
PRAGMA cache_size = -16384;
-- The log gives disk space back after a burst.
PRAGMA journal_size_limit = 67108864;
-- What is deleted is overwritten within its page, which costs no write; pages that fall free are cut off by `purge`.
PRAGMA secure_delete = FAST;
