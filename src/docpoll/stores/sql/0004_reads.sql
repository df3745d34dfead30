-- Schema 4: what was read of the data that a vendor holds, and how far each table of it has come.

-- A row for each time it was asked for. What an earlier one brought goes when a later one brings its first page; its row
-- goes, too, unless the job of its extraction stands until what it brought was read.
CREATE TABLE reads (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, so a program that was overtaken is noticed
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    folder     TEXT NOT NULL,                      -- where its files are: absolute, links followed
    extractor  TEXT NOT NULL,
    entity     TEXT NOT NULL,
    rfc        TEXT NOT NULL,
    job        INTEGER REFERENCES jobs (seq),      -- the extraction whose data it is, where it was named
    with_extraction INTEGER NOT NULL,              -- asked for together with it, so that the job stands until all is there
    selection  TEXT NOT NULL,                      -- JSON, see `docpoll.reads`
    asked_at   INTEGER NOT NULL,
    begun_at   INTEGER,                            -- when its first page was asked for
    ended_at   INTEGER,                            -- when it was complete
    wanted     INTEGER NOT NULL DEFAULT 0,         -- files
    stored     INTEGER NOT NULL DEFAULT 0,
    missing    INTEGER NOT NULL DEFAULT 0,
    troubles   TEXT NOT NULL,                      -- JSON
    replaced   INTEGER NOT NULL DEFAULT 0          -- nothing of it is there any more, and it is still to be read
);

CREATE INDEX reads_into ON reads (folder, extractor);
CREATE INDEX reads_of ON reads (job) WHERE job IS NOT NULL;
CREATE INDEX reads_incomplete ON reads (number) WHERE ended_at IS NULL;

CREATE TABLE read_tables (
    read      INTEGER NOT NULL REFERENCES reads (number),
    resource  TEXT NOT NULL,
    cursor    TEXT,                                -- the vendor's link to the next page
    pages     INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    skipped   INTEGER NOT NULL,
    length    INTEGER,                             -- bytes of the file that count; NULL: none of it is this read's
    page_size INTEGER,
    complete  INTEGER NOT NULL,
    trouble   TEXT,
    PRIMARY KEY (read, resource)
) WITHOUT ROWID;

-- The pages that were read, by a digest of the link that led to them: a link that comes again leads in a circle.
CREATE TABLE read_pages (
    read     INTEGER NOT NULL REFERENCES reads (number),
    resource TEXT NOT NULL,
    link     TEXT NOT NULL,
    PRIMARY KEY (read, resource, link)
) WITHOUT ROWID;
