"""Reading what a vendor holds: its tables page by page, their files, and a folder that is right at every moment."""
