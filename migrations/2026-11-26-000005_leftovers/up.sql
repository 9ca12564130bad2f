-- What an agent left beside its work, each thing once: the same commit under the same name is the same thing.
CREATE TABLE leftovers (
    id        INTEGER PRIMARY KEY NOT NULL,
    task_id   BIGINT NOT NULL REFERENCES tasks (id),
    run_id    TEXT,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    kept      TEXT,
    commit_id TEXT NOT NULL DEFAULT '',
    at        BIGINT NOT NULL,
    told      INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
);
CREATE UNIQUE INDEX leftovers_task ON leftovers (task_id, kind, name, commit_id);
