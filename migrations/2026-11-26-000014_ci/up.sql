-- The jobs of the forge's own CI, from its deliveries. `page` is the path of a job's page, by which a status names it; `job` is the
-- id under which its log is had, which nothing else tells.
CREATE TABLE ci_jobs (
    repo TEXT NOT NULL,
    page TEXT NOT NULL,
    job BIGINT NOT NULL,
    sha TEXT NOT NULL,
    steps TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (repo, page)
) WITHOUT ROWID;
CREATE INDEX ci_jobs_at ON ci_jobs (at);

-- The whole account of a failure, with the end of the output that shows it.
ALTER TABLE gate_results ADD COLUMN detail TEXT;
