-- A round is what a role does at a stage: from the task's entry (or the work's return) to an end that counts.
ALTER TABLE tasks ADD COLUMN worked INTEGER NOT NULL DEFAULT 0 CHECK (worked IN (0, 1)); -- a run of the stage's role ended well in this round
ALTER TABLE tasks ADD COLUMN round_head TEXT; -- the branch's head when the round began; null = the branch was not seen before
-- Tasks of an earlier version: their runs say it.
UPDATE tasks SET worked = 1 WHERE EXISTS (
    SELECT 1 FROM runs r WHERE r.task_id = tasks.id AND r.stage = tasks.stage AND r.outcome = 'success');
