-- The number of the task's own pull request at the forge: set when it is opened or found, and its identity from then on. A branch
-- is none: several pull requests, a fork's among them, may bear its name.
ALTER TABLE tasks ADD COLUMN pull BIGINT;
CREATE INDEX tasks_pull ON tasks (repo, pull) WHERE pull IS NOT NULL;
