"""The embedded store: one SQLite file, one writer thread, commits in groups. The only files that know apsw."""
