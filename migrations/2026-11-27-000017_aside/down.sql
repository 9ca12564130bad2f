ALTER TABLE held_jobs DROP COLUMN doubt;
ALTER TABLE held_jobs DROP COLUMN since;
DROP TRIGGER jobs_aside;
