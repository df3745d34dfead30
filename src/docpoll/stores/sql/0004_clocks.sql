-- Schema 4: when a lost submit was sent, where our clock may have been wrong.

ALTER TABLE jobs ADD COLUMN corrected_at INTEGER;

DROP VIEW job_rows;

CREATE VIEW job_rows AS
SELECT
    jobs.id, jobs.key, jobs.attempt, jobs.retry_of,
    accounts.provider, accounts.account, accounts.origin,
    jobs.state, jobs.source, jobs.digest, jobs.name, jobs.size, jobs.media_type, jobs.path, jobs.options,
    jobs.remote_id, jobs.created_at, jobs.sent_at, jobs.accepted_at, jobs.finished_at, jobs.changed_at,
    jobs.purged_at, jobs.next_poll_at, jobs.earliest_expiry_at, jobs.polls, jobs.status, jobs.error, jobs.trouble,
    jobs.enveloped, jobs.not_found_at, jobs.bad_answer_at, jobs.finish_claimed, jobs.lost_sent_at, jobs.lost_at,
    jobs.unfinished_at, jobs.corrected_at, jobs.seq, jobs.owner
FROM jobs JOIN accounts ON accounts.id = jobs.account_id;
