DROP INDEX jobs_unplaced;
DROP INDEX jobs_key;
DROP TRIGGER jobs_insert;
DROP TRIGGER jobs_place;
DROP TRIGGER jobs_turn;
DROP TRIGGER jobs_end;
DROP TRIGGER jobs_end_or_revive;
DROP TRIGGER jobs_delete;
DROP TRIGGER jobs_delete_unfinished;
ALTER TABLE jobs RENAME COLUMN placed TO ready;
UPDATE jobs SET ready = 0 WHERE finished_at IS NULL AND ready = 1 AND order_key IS NOT NULL AND slot NOT IN (SELECT slot FROM job_turns);
CREATE INDEX jobs_ready_now   ON jobs (kind, id) WHERE status = 'queued' AND ready = 1 AND available_at IS NULL;
CREATE INDEX jobs_ready_later ON jobs (kind, available_at) WHERE status = 'queued' AND ready = 1 AND available_at IS NOT NULL;
CREATE INDEX jobs_unplaced    ON jobs (id) WHERE status = 'queued' AND ready IS NULL;
CREATE INDEX jobs_key         ON jobs (order_key, id) WHERE order_key IS NOT NULL AND status IN ('queued','running') AND ready IS NOT NULL;
CREATE UNIQUE INDEX jobs_running ON jobs (order_key) WHERE status = 'running';
CREATE TRIGGER jobs_key_insert AFTER INSERT ON jobs WHEN NEW.order_key IS NOT NULL AND NEW.ready = 1
BEGIN
    UPDATE jobs SET ready = 0 WHERE id = NEW.id AND EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.status IN ('queued','running') AND j.ready IS NOT NULL AND j.id < NEW.id);
END;
CREATE TRIGGER jobs_key_finish AFTER UPDATE OF status ON jobs
WHEN NEW.order_key IS NOT NULL AND NEW.status NOT IN ('queued','running') AND OLD.status IN ('queued','running') AND OLD.ready = 1
BEGIN
    UPDATE jobs SET ready = 1 WHERE id = (
        SELECT j.id FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.status IN ('queued','running') AND j.ready IS NOT NULL
        ORDER BY j.id LIMIT 1);
END;
CREATE TRIGGER jobs_key_revive AFTER UPDATE OF status ON jobs
WHEN NEW.order_key IS NOT NULL AND NEW.status = 'queued' AND OLD.status NOT IN ('queued','running')
BEGIN
    UPDATE jobs SET ready = NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.status IN ('queued','running') AND j.ready IS NOT NULL AND j.id <> NEW.id)
    WHERE id = NEW.id;
END;
CREATE TABLE counts AS SELECT * FROM job_counts;
DROP VIEW job_counts;
CREATE TABLE job_counts (
    kind   TEXT   NOT NULL,
    status TEXT   NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (kind, status)
) WITHOUT ROWID;
INSERT INTO job_counts (kind, status, n)
SELECT kind, 'done', done FROM counts
UNION ALL SELECT kind, 'failed', failed FROM counts
UNION ALL SELECT kind, 'cancelled', cancelled FROM counts
UNION ALL SELECT kind, 'running', running FROM counts
UNION ALL SELECT kind, 'queued', unfinished - running FROM counts;
DROP TABLE counts;
DROP TABLE job_turns;
ALTER TABLE jobs DROP COLUMN slot;
ALTER TABLE jobs DROP COLUMN lane;
CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs WHEN NEW.ready IS NOT NULL BEGIN
    UPDATE job_counts SET n = n + 1 WHERE kind = NEW.kind AND status = NEW.status;
END;
CREATE TRIGGER jobs_count_update AFTER UPDATE OF status ON jobs WHEN NEW.status <> OLD.status BEGIN
    UPDATE job_counts SET n = n + (CASE status WHEN NEW.status THEN 1 ELSE -1 END)
    WHERE kind = NEW.kind AND status IN (NEW.status, OLD.status);
END;
CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET n = n - 1 WHERE kind = OLD.kind AND status = OLD.status;
END;
