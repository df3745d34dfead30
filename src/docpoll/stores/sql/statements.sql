-- Named statements. Each begins with a line `-- name: …` and ends before the next one.

-- name: application_id
PRAGMA application_id

-- name: schema_version
PRAGMA user_version

-- name: tables
SELECT name FROM sqlite_schema WHERE type = 'table'

-- Changes when another connection has committed, never by this one's own commits.
-- name: data_version
PRAGMA data_version

-- name: use_log
PRAGMA journal_mode = WAL

-- name: be_alone
PRAGMA locking_mode = EXCLUSIVE

-- name: read_only
PRAGMA query_only = ON

-- name: checkpoint
PRAGMA wal_checkpoint(TRUNCATE)

-- Unlike the one above it leaves the log as long as it is: what room it has on a full disk is ours.
-- name: make_room
PRAGMA wal_checkpoint(PASSIVE)

-- Pages that fall free are overwritten, too, from now on; and no longer.
-- name: overwrite_pages
PRAGMA secure_delete = ON

-- name: leave_pages
PRAGMA secure_delete = FAST

-- name: page_size
PRAGMA page_size

-- name: page_count
PRAGMA page_count

-- name: free_pages
PRAGMA freelist_count

-- name: cut_page
PRAGMA incremental_vacuum(1)

-- name: begin_read
BEGIN

-- name: begin_write
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: begin_operation
SAVEPOINT operation

-- name: end_operation
RELEASE operation

-- name: undo_operation
ROLLBACK TO operation


-- name: enter_owner
INSERT INTO owners (id, seen_at, pid, host) VALUES (:id, :now, :pid, :host) RETURNING epoch

-- name: owner_lives
SELECT 1 FROM owners WHERE epoch = :epoch AND id = :id

-- name: see_owner
UPDATE owners SET seen_at = max(seen_at, :now) WHERE epoch = :epoch AND id = :id

-- name: other_owners
SELECT epoch, id, seen_at, host FROM owners WHERE epoch <> :epoch

-- name: delete_owner
DELETE FROM owners WHERE epoch = :epoch AND id = :id

-- name: leave_jobs
INSERT INTO ended_owners (epoch) SELECT :epoch WHERE EXISTS (SELECT 1 FROM jobs WHERE owner = :epoch)

-- Jobs that were claimed by their id and not reopened.
-- name: forget_closed_jobs
UPDATE jobs SET owner = NULL
WHERE owner = :epoch
    AND state NOT IN ('PENDING', 'UNCERTAIN', 'RUNNING') AND (state <> 'TIMED_OUT' OR next_poll_at IS NULL)

-- name: ended_owners
SELECT epoch FROM ended_owners

-- name: forget_ended_owners
DELETE FROM ended_owners WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE owner = ended_owners.epoch)


-- name: account_id
SELECT id FROM accounts WHERE provider = :provider AND account = :account AND origin = :origin

-- name: enter_account
INSERT INTO accounts (provider, account, origin) VALUES (:provider, :account, :origin) RETURNING id

-- name: set_suspect
UPDATE accounts SET suspect = :reason, suspect_at = :now WHERE id = :account_id

-- name: budget
SELECT state FROM budgets WHERE account_id = :account_id AND scope = :scope

-- name: set_budget
INSERT INTO budgets (account_id, scope, state) VALUES (:account_id, :scope, :state)
ON CONFLICT DO UPDATE SET state = excluded.state

-- name: budgets
SELECT account_id, scope, state FROM budgets ORDER BY account_id, scope

-- name: durations
SELECT document_type, CAST(state AS BLOB) FROM durations WHERE provider = :provider AND origin = :origin ORDER BY document_type

-- name: durations_of
SELECT CAST(state AS BLOB) FROM durations WHERE provider = :provider AND origin = :origin AND document_type = :document_type

-- name: set_durations
INSERT INTO durations (provider, origin, document_type, state) VALUES (:provider, :origin, :document_type, :state)
ON CONFLICT DO UPDATE SET state = excluded.state

-- name: note_suspicion
INSERT INTO suspicions (account_id, kind, times, first_at, last_at, example)
VALUES (:account_id, :kind, :times, :first_at, :last_at, :example)
ON CONFLICT DO UPDATE SET
    times = times + excluded.times,
    first_at = min(first_at, excluded.first_at),
    last_at = max(last_at, excluded.last_at),
    example = iif(excluded.last_at >= last_at, excluded.example, example)

-- name: suspicions
SELECT account_id, kind, times, first_at, last_at, example FROM suspicions ORDER BY account_id, kind


-- name: enter_job
INSERT INTO jobs (
    id, key, key_version, attempt, retry_of, account_id, owner, state,
    source, digest, name, size, media_type, path, options,
    remote_id, created_at, sent_at, accepted_at, finished_at, changed_at, purged_at, next_poll_at, earliest_expiry_at,
    polls, status, error, trouble, enveloped, not_found_at, bad_answer_at, finish_claimed, lost_sent_at, lost_at, unfinished_at
)
SELECT
    :id, :key, :key_version, :attempt, :retry_of, :account_id, :owner, :state,
    :source, :digest, :name, :size, :media_type, :path, :options,
    :remote_id, :created_at, :sent_at, :accepted_at, :finished_at, :changed_at, :purged_at, :next_poll_at, :earliest_expiry_at,
    :polls, :status, :error, :trouble, :enveloped, :not_found_at, :bad_answer_at, :finish_claimed, :lost_sent_at, :lost_at, :unfinished_at
WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE key = :key AND attempt >= :attempt)

-- A closed job belongs to nobody; what leaves it in its state may still be written, unless it is older news.
-- Whoever knows nothing of a purge does not undo it so.
-- name: change_job
UPDATE jobs SET
    owner = :owner, state = :state, source = :source, name = :name, size = :size, media_type = :media_type,
    path = :path, options = :options, remote_id = coalesce(:remote_id, remote_id),
    sent_at = :sent_at, accepted_at = coalesce(:accepted_at, accepted_at), finished_at = :finished_at, changed_at = :changed_at,
    purged_at = iif(state = :state, coalesce(:purged_at, purged_at), :purged_at), next_poll_at = :next_poll_at,
    earliest_expiry_at = coalesce(:earliest_expiry_at, earliest_expiry_at), polls = :polls, status = :status,
    error = iif(state = :state AND purged_at IS NOT NULL, error, :error), trouble = :trouble,
    enveloped = :enveloped, not_found_at = :not_found_at, bad_answer_at = :bad_answer_at,
    finish_claimed = :finish_claimed, lost_sent_at = :lost_sent_at, lost_at = :lost_at,
    unfinished_at = :unfinished_at
WHERE id = :id AND (
    owner = :epoch
    OR owner IS NULL AND state = :state AND coalesce(changed_at, created_at) <= coalesce(:changed_at, created_at)
)

-- name: accept_job
UPDATE jobs SET
    state = :state, source = :source, name = :name, size = :size, media_type = :media_type,
    path = :path, options = :options, remote_id = :remote_id, sent_at = :sent_at, accepted_at = :accepted_at,
    finished_at = :finished_at, changed_at = :changed_at, purged_at = :purged_at, next_poll_at = :next_poll_at,
    earliest_expiry_at = :earliest_expiry_at, polls = :polls, status = :status, error = :error, trouble = :trouble,
    enveloped = :enveloped, not_found_at = :not_found_at, bad_answer_at = :bad_answer_at,
    finish_claimed = :finish_claimed, lost_sent_at = :lost_sent_at, lost_at = :lost_at,
    unfinished_at = :unfinished_at
WHERE id = :id

-- name: record_remote_id
UPDATE jobs SET remote_id = :remote_id, accepted_at = :accepted_at WHERE id = :id

-- name: remote_id_of_job
SELECT remote_id FROM jobs WHERE id = :id

-- name: owner_of_job
SELECT owner FROM jobs WHERE id = :id

-- name: claimable
SELECT seq, earliest_expiry_at FROM jobs INDEXED BY jobs_wanted
WHERE owner = :owner AND account_id = :account_id AND (NOT :accepted OR state NOT IN ('PENDING', 'UNCERTAIN'))
ORDER BY earliest_expiry_at, seq
LIMIT :limit

-- name: own_job
UPDATE jobs SET owner = :epoch WHERE id = :id

-- name: own_jobs
UPDATE jobs SET owner = :epoch WHERE seq IN (SELECT value FROM json_each(:seqs))

-- name: jobs_by_seq
SELECT * FROM job_rows WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY earliest_expiry_at, seq


-- name: store_result
INSERT INTO results (job, body) SELECT seq, :body FROM jobs WHERE id = :id AND purged_at IS NULL
ON CONFLICT DO UPDATE SET body = excluded.body

-- name: store_document
INSERT INTO documents (digest, content) VALUES (:digest, :content) ON CONFLICT DO NOTHING

-- name: use_document
INSERT INTO document_uses (digest, job) SELECT digest, :seq FROM documents WHERE digest = :digest

-- name: end_document_use
DELETE FROM document_uses WHERE digest = :digest AND job = (SELECT seq FROM jobs WHERE id = :id)

-- name: delete_unused_document
DELETE FROM documents WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM document_uses WHERE digest = :digest)


-- name: kept
SELECT job_rows.*, length(results.body), length(documents.content)
FROM job_rows
    LEFT JOIN results ON results.job = job_rows.seq
    LEFT JOIN document_uses ON document_uses.digest = job_rows.digest AND document_uses.job = job_rows.seq
    LEFT JOIN documents ON documents.digest = document_uses.digest
WHERE job_rows.seq > :seq AND job_rows.owner IS NULL AND job_rows.purged_at IS NULL
    AND job_rows.finished_at <= :finished_by AND job_rows.state NOT IN ('PENDING', 'UNCERTAIN', 'RUNNING')
ORDER BY job_rows.seq LIMIT :limit

-- name: kept_of
SELECT job_rows.*, length(results.body), length(documents.content)
FROM job_rows
    LEFT JOIN results ON results.job = job_rows.seq
    LEFT JOIN document_uses ON document_uses.digest = job_rows.digest AND document_uses.job = job_rows.seq
    LEFT JOIN documents ON documents.digest = document_uses.digest
WHERE job_rows.seq > :seq AND job_rows.id IN (SELECT value FROM json_each(:ids))
ORDER BY job_rows.seq LIMIT :limit

-- Only as it was looked at, and only while nobody has it in hand.
-- name: purge_job
UPDATE jobs SET purged_at = :purged_at, error = :error
WHERE id = :id AND owner IS NULL AND purged_at IS NULL AND state = :state
    AND finished_at IS :finished_at AND changed_at IS :changed_at

-- name: delete_result
DELETE FROM results WHERE job = (SELECT seq FROM jobs WHERE id = :id)

-- name: purged_names
SELECT remote_id FROM jobs JOIN accounts ON accounts.id = jobs.account_id
WHERE remote_id IN (SELECT value FROM json_each(:ids)) AND provider = :provider AND origin = :origin
GROUP BY remote_id HAVING count(*) = count(purged_at)


-- name: enter_wish
INSERT INTO wishes (job, kind)
SELECT jobs.seq, :kind FROM jobs JOIN owners ON owners.epoch = jobs.owner WHERE jobs.id = :id
ON CONFLICT DO NOTHING

-- name: has_living_owner
SELECT 1 FROM jobs JOIN owners ON owners.epoch = jobs.owner WHERE jobs.id = :id

-- name: wishes_of
SELECT wishes.seq, jobs.id, wishes.kind FROM wishes CROSS JOIN jobs ON jobs.seq = wishes.job
WHERE jobs.owner = :epoch AND EXISTS (SELECT 1 FROM owners WHERE epoch = :epoch)
ORDER BY wishes.seq

-- name: delete_wish
DELETE FROM wishes WHERE seq = :seq

-- name: drop_idle_wishes
DELETE FROM wishes WHERE (SELECT owner FROM jobs WHERE jobs.seq = wishes.job) IS NULL


-- name: job_by_id
SELECT * FROM job_rows WHERE id = :id

-- name: jobs_by_prefix
SELECT * FROM job_rows WHERE id >= :prefix AND id < :bound ORDER BY id LIMIT 4

-- name: newest_ids
SELECT id FROM jobs WHERE id >= :prefix AND id < :bound ORDER BY seq DESC LIMIT 50

-- name: jobs_by_ids
SELECT * FROM job_rows WHERE id IN (SELECT value FROM json_each(:ids))

-- name: jobs_by_remote_id
SELECT * FROM job_rows WHERE remote_id = :remote_id ORDER BY seq

-- name: newest_jobs
SELECT * FROM job_rows WHERE (key, attempt) IN (
    SELECT key, max(attempt) FROM jobs WHERE key IN (SELECT value FROM json_each(:keys)) GROUP BY key
)

-- name: seq_of_job
SELECT seq FROM jobs WHERE id = :id

-- name: page
SELECT * FROM job_rows WHERE seq > :seq ORDER BY seq LIMIT :limit

-- name: page_in_state
SELECT * FROM job_rows WHERE state = :state AND seq > :seq ORDER BY seq LIMIT :limit

-- name: warned
SELECT * FROM job_rows
WHERE state = 'SUCCEEDED' AND error IS NOT NULL AND purged_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.key = job_rows.key AND jobs.attempt > job_rows.attempt)
ORDER BY seq DESC LIMIT :limit

-- name: on_their_way
SELECT id FROM jobs INDEXED BY jobs_on_their_way
WHERE sent_at IS NOT NULL AND state IN ('PENDING', 'UNCERTAIN') AND (state = 'PENDING' OR sent_at > lost_at)
ORDER BY seq

-- name: is_on_its_way
SELECT 1 FROM accounts CROSS JOIN jobs INDEXED BY jobs_on_their_way ON jobs.account_id = accounts.id
WHERE accounts.provider = :provider AND accounts.origin = :origin
    AND sent_at IS NOT NULL AND state IN ('PENDING', 'UNCERTAIN') AND (state = 'PENDING' OR sent_at > lost_at)
LIMIT 1

-- name: jobs_by_remote_ids
SELECT * FROM job_rows
WHERE remote_id IN (SELECT value FROM json_each(:ids)) AND provider = :provider AND origin = :origin
ORDER BY seq

-- name: forget_parked
DELETE FROM parked WHERE parked_at < :before OR parked_at > :beyond

-- name: park
INSERT OR REPLACE INTO parked (provider, origin, remote_id, parked_at)
VALUES (:provider, :origin, :remote_id, :now)

-- name: count_parked
SELECT count(*) FROM parked WHERE provider = :provider AND origin = :origin

-- name: drop_parked
DELETE FROM parked WHERE seq IN (
    SELECT seq FROM parked WHERE provider = :provider AND origin = :origin ORDER BY seq LIMIT :number
)

-- name: take_parked
DELETE FROM parked WHERE provider = :provider AND origin = :origin AND remote_id = :remote_id RETURNING parked_at

-- name: lost_jobs
SELECT * FROM job_rows WHERE seq IN (
    SELECT jobs.seq FROM jobs INDEXED BY jobs_lost JOIN accounts ON accounts.id = jobs.account_id
    WHERE jobs.lost_at IS NOT NULL AND accounts.provider = :provider AND accounts.origin = :origin
)
ORDER BY seq

-- name: known_remote_ids
SELECT remote_id FROM jobs WHERE remote_id IN (SELECT value FROM json_each(:ids))

-- name: see_remote_id
INSERT INTO sightings (account_id, remote_id, seen_at) VALUES (:account_id, :remote_id, :now) ON CONFLICT DO NOTHING

-- name: sightings
SELECT remote_id FROM sightings
WHERE account_id = :account_id AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.remote_id = sightings.remote_id)
ORDER BY seen_at, remote_id

-- name: forget_sightings
DELETE FROM sightings WHERE account_id = :account_id AND seen_at < :before

-- name: result
SELECT body FROM results WHERE job = (SELECT seq FROM jobs WHERE id = :id)

-- name: document
SELECT content FROM documents WHERE digest = :digest

-- name: count_states
SELECT account_id, state, jobs FROM counts WHERE jobs > 0

-- name: accounts
SELECT id, provider, account, origin, suspect FROM accounts

-- name: count_open
SELECT
    account_id,
    count(*) FILTER (WHERE coalesce(changed_at, created_at) <= :stalled_since),
    min(earliest_expiry_at) FILTER (WHERE state = 'RUNNING'),
    min(created_at)
FROM jobs INDEXED BY jobs_wanted
WHERE owner IS NOT NULL AND state IN ('PENDING', 'UNCERTAIN', 'RUNNING')
GROUP BY account_id

-- name: bounds_counted
SELECT count(*) - count(earliest_expiry_at), count(earliest_expiry_at), min(earliest_expiry_at)
FROM jobs INDEXED BY jobs_wanted
WHERE owner IS NOT NULL AND account_id = :account_id AND state IN ('RUNNING', 'TIMED_OUT')

-- name: bounds
SELECT earliest_expiry_at FROM jobs INDEXED BY jobs_wanted
WHERE owner IS NOT NULL AND account_id = :account_id AND state IN ('RUNNING', 'TIMED_OUT')
    AND earliest_expiry_at IS NOT NULL
ORDER BY earliest_expiry_at

-- name: expiring
SELECT * FROM job_rows WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_wanted
    WHERE owner IS NOT NULL AND state IN ('RUNNING', 'TIMED_OUT')
        AND (:account_id IS NULL OR account_id = :account_id)
        AND (earliest_expiry_at < :before OR :unknown AND earliest_expiry_at IS NULL)
    ORDER BY earliest_expiry_at, seq
    LIMIT :limit
)
ORDER BY earliest_expiry_at, seq


-- name: enter_read
INSERT INTO reads (
    account_id, folder, extractor, entity, rfc, job, with_extraction, selection, asked_at, begun_at, ended_at, wanted,
    stored, missing, troubles
)
VALUES (
    :account_id, :folder, :extractor, :entity, :rfc, (SELECT seq FROM jobs WHERE id = :job_id), :with_extraction,
    :selection, :asked_at, :begun_at, :ended_at, :wanted, :stored, :missing, :troubles
)
RETURNING number

-- Of those into one folder, of jobs, or all that are not complete.
-- name: reads_into
SELECT
    reads.number, accounts.provider, accounts.account, accounts.origin, reads.folder, reads.extractor, reads.entity,
    reads.rfc, jobs.id, reads.with_extraction, reads.selection, reads.asked_at, reads.begun_at, reads.ended_at,
    reads.wanted, reads.stored, reads.missing, reads.troubles
FROM reads JOIN accounts ON accounts.id = reads.account_id LEFT JOIN jobs ON jobs.seq = reads.job
WHERE reads.folder = :folder AND NOT reads.replaced
ORDER BY reads.number

-- name: reads_of
SELECT
    reads.number, accounts.provider, accounts.account, accounts.origin, reads.folder, reads.extractor, reads.entity,
    reads.rfc, jobs.id, reads.with_extraction, reads.selection, reads.asked_at, reads.begun_at, reads.ended_at,
    reads.wanted, reads.stored, reads.missing, reads.troubles
FROM jobs JOIN reads ON reads.job = jobs.seq JOIN accounts ON accounts.id = reads.account_id
WHERE jobs.id IN (SELECT value FROM json_each(:ids))
ORDER BY reads.number

-- name: reads_incomplete
SELECT
    reads.number, accounts.provider, accounts.account, accounts.origin, reads.folder, reads.extractor, reads.entity,
    reads.rfc, jobs.id, reads.with_extraction, reads.selection, reads.asked_at, reads.begun_at, reads.ended_at,
    reads.wanted, reads.stored, reads.missing, reads.troubles
FROM reads JOIN accounts ON accounts.id = reads.account_id LEFT JOIN jobs ON jobs.seq = reads.job
WHERE reads.ended_at IS NULL
    AND coalesce(jobs.state NOT IN (SELECT value FROM json_each(:in_vain)), TRUE)
    AND NOT EXISTS (
        SELECT 1 FROM reads AS later LEFT JOIN jobs AS its ON its.seq = later.job
        WHERE later.folder = reads.folder AND later.extractor = reads.extractor AND later.number > reads.number
            AND coalesce(its.state NOT IN (SELECT value FROM json_each(:in_vain)), TRUE)
            AND (NOT reads.with_extraction OR later.job IS reads.job)
    )
ORDER BY reads.number

-- name: extracted_at
SELECT max(finished_at) FROM jobs
WHERE account_id = :account_id AND state = :state AND media_type = :media_type
    AND json_extract(options, '$.entity') = :entity AND json_extract(options, '$.extractor') = :extractor

-- name: read_tables
SELECT resource, cursor, pages, rows, skipped, length, page_size, complete, trouble
FROM read_tables WHERE read = :number ORDER BY resource

-- name: read_exists
SELECT 1 FROM reads WHERE number = :number AND NOT replaced

-- Whether its row stays: the job of its extraction stands for it, and *number* does not do that in its place.
-- name: earlier_reads
SELECT
    earlier.number,
    earlier.with_extraction AND earlier.ended_at IS NULL
        AND coalesce(jobs.state NOT IN (SELECT value FROM json_each(:in_vain)), FALSE)
        AND NOT (later.with_extraction AND later.job IS earlier.job)
FROM reads AS later
    JOIN reads AS earlier ON earlier.folder = later.folder AND earlier.extractor = later.extractor
    LEFT JOIN jobs ON jobs.seq = earlier.job
WHERE later.number = :number AND earlier.number < later.number

-- name: replace_read
UPDATE reads SET replaced = TRUE, begun_at = NULL, wanted = 0, stored = 0, missing = 0, troubles = '[]'
WHERE number = :number

-- name: forget_read_pages
DELETE FROM read_pages WHERE read = :number

-- name: forget_read_tables
DELETE FROM read_tables WHERE read = :number

-- name: forget_read
DELETE FROM reads WHERE number = :number

-- name: table_pages
SELECT pages FROM read_tables WHERE read = :number AND resource = :resource

-- name: set_table
INSERT INTO read_tables (read, resource, cursor, pages, rows, skipped, length, page_size, complete, trouble)
VALUES (:number, :resource, :cursor, :pages, :rows, :skipped, :length, :page_size, :complete, :trouble)
ON CONFLICT DO UPDATE SET
    cursor = excluded.cursor, pages = excluded.pages, rows = excluded.rows, skipped = excluded.skipped,
    length = excluded.length, page_size = excluded.page_size, complete = excluded.complete, trouble = excluded.trouble

-- name: enter_read_page
INSERT INTO read_pages (read, resource, link) VALUES (:number, :resource, :link) ON CONFLICT DO NOTHING

-- name: read_pages
SELECT link FROM read_pages WHERE read = :number AND resource = :resource

-- name: note_read
UPDATE reads SET
    with_extraction = :with_extraction, begun_at = :begun_at, ended_at = :ended_at, wanted = :wanted, stored = :stored,
    missing = :missing, troubles = :troubles
WHERE number = :number AND NOT replaced
