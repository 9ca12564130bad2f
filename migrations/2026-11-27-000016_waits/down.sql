ALTER TABLE held_jobs DROP COLUMN told;
ALTER TABLE held_jobs DROP COLUMN since;
