-- A service, or one repository of the forge, that gives no answers: since when, and what was heard last. Shared by all workers; the
-- row is gone when it answers again.
CREATE TABLE outages (
    scope TEXT    PRIMARY KEY NOT NULL,
    since BIGINT  NOT NULL,
    words TEXT    NOT NULL,
    told  INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
);
-- Jobs that wait for an end of such an outage, and how often a job was tried again at no charge for a trouble of its own.
CREATE TABLE held_jobs (
    job   INTEGER PRIMARY KEY NOT NULL,
    scope TEXT,
    tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX held_jobs_scope ON held_jobs (scope) WHERE scope IS NOT NULL;
