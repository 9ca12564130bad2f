DROP TABLE published;
ALTER TABLE tasks DROP COLUMN recheck;
ALTER TABLE gate_results DROP COLUMN evidence;
