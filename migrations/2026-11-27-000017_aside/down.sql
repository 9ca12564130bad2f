ALTER TABLE held_jobs DROP COLUMN doubt;
ALTER TABLE held_jobs DROP COLUMN story_since;
DROP TRIGGER jobs_aside;
