DROP INDEX runs_session;
DROP INDEX runs_day;
ALTER TABLE runs DROP COLUMN budget_stop;
ALTER TABLE runs DROP COLUMN unpriced;
ALTER TABLE runs DROP COLUMN estimated;
CREATE INDEX runs_day ON runs (started_at, cost_usd);
