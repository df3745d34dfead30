-- For a file that is to become a ledger; neither can be changed cheaply later.

-- Results and documents are long: larger pages make shorter chains.
PRAGMA page_size = 8192;
-- Pages freed by `purge` can be given back to the disk.
PRAGMA auto_vacuum = INCREMENTAL;
