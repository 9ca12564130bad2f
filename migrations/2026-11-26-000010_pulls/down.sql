DROP INDEX tasks_pull;
ALTER TABLE tasks DROP COLUMN pull;
