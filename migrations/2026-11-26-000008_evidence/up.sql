-- The commit that an evaluation's evidence was taken on: the one a role's run began on, a review or CI named, or the judged one
-- itself. Null: recorded by an earlier version, which held nothing to it.
ALTER TABLE gate_results ADD COLUMN evidence TEXT;
-- A round that began because evidence was gone: its role looks at what others changed, and may find that all is well.
ALTER TABLE tasks ADD COLUMN recheck INTEGER NOT NULL DEFAULT 0 CHECK (recheck IN (0, 1));
-- The commits of a task's branch that the forge had nowhere before the orchestrator published them: its roles' work. All others came from there.
CREATE TABLE published (
    task_id   BIGINT NOT NULL REFERENCES tasks (id),
    commit_id TEXT NOT NULL,
    PRIMARY KEY (task_id, commit_id)
) WITHOUT ROWID;
