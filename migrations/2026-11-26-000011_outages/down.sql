DROP TABLE held_jobs;
DROP TABLE outages;
