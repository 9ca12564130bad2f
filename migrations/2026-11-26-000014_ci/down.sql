ALTER TABLE gate_results DROP COLUMN detail;
DROP TABLE ci_jobs;
