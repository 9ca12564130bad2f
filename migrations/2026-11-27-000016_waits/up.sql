-- Since when a job waits for something to pass that kept it from being done, and whether people know of it.
ALTER TABLE held_jobs ADD COLUMN since BIGINT;
ALTER TABLE held_jobs ADD COLUMN told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1));
