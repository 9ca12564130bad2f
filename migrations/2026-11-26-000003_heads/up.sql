-- A claim and an end change as few pages, and run as few statements, as they can. What runs and what comes next stand side by
-- side in one index. What a claim does not change is in no condition of an index or of a trigger, so that it is left alone:
-- whether a job is finished says `finished_at`, which a CHECK holds to its status.

DROP INDEX jobs_ready_now;
DROP INDEX jobs_ready_later;
DROP INDEX jobs_unplaced;
DROP INDEX jobs_key;
DROP INDEX jobs_running;
-- Those of a kind that run (few do at a time), then those that may run now, oldest first.
CREATE INDEX jobs_heads       ON jobs (kind, status DESC) WHERE finished_at IS NULL AND ready = 1 AND available_at IS NULL;
CREATE INDEX jobs_ready_later ON jobs (kind, available_at) WHERE finished_at IS NULL AND ready = 1 AND available_at IS NOT NULL;
CREATE INDEX jobs_unplaced    ON jobs (id) WHERE finished_at IS NULL AND ready IS NULL;
CREATE INDEX jobs_key         ON jobs (order_key, id) WHERE order_key IS NOT NULL AND finished_at IS NULL AND ready IS NOT NULL;

DROP TRIGGER jobs_key_insert;
DROP TRIGGER jobs_key_finish;
DROP TRIGGER jobs_key_revive;
CREATE TRIGGER jobs_key_insert AFTER INSERT ON jobs WHEN NEW.order_key IS NOT NULL AND NEW.ready = 1
BEGIN
    UPDATE jobs SET ready = 0 WHERE id = NEW.id AND EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.ready IS NOT NULL AND j.id < NEW.id);
END;
-- The head of a key is finished: the next one is the head. Or an operator puts a finished job back: it waits if its key is busy.
CREATE TRIGGER jobs_key_turn AFTER UPDATE OF finished_at ON jobs
WHEN NEW.order_key IS NOT NULL
    AND iif(NEW.finished_at IS NULL, OLD.finished_at IS NOT NULL, OLD.finished_at IS NULL AND OLD.ready = 1)
BEGIN
    UPDATE jobs SET ready = CASE WHEN NEW.finished_at IS NOT NULL THEN 1 ELSE NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.ready IS NOT NULL AND j.id <> NEW.id)
    END
    WHERE id = CASE WHEN NEW.finished_at IS NULL THEN NEW.id ELSE (
        SELECT j.id FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.ready IS NOT NULL
        ORDER BY j.id LIMIT 1)
    END;
END;
-- Whatever runs is the head of its key, and is found in `jobs_heads`.
CREATE TRIGGER jobs_head_runs AFTER UPDATE OF worker ON jobs
WHEN NEW.status = 'running' AND (NEW.ready IS NOT 1 OR NEW.available_at IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'only a job that is due and the head of its key may run');
END;

-- A row for each kind. The queued and the running count as one, `unfinished`: a claim changes no counter, and whoever reads
-- them counts the few that run.
DROP TRIGGER jobs_count_insert;
DROP TRIGGER jobs_count_update;
DROP TRIGGER jobs_count_delete;
CREATE TABLE counts (
    kind       TEXT   PRIMARY KEY NOT NULL,
    unfinished BIGINT NOT NULL,
    done       BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    cancelled  BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO counts (kind, unfinished, done, failed, cancelled)
SELECT kind, sum(n) FILTER (WHERE status IN ('queued','running')), sum(n) FILTER (WHERE status = 'done'),
    sum(n) FILTER (WHERE status = 'failed'), sum(n) FILTER (WHERE status = 'cancelled')
FROM job_counts GROUP BY kind;
DROP TABLE job_counts;
ALTER TABLE counts RENAME TO job_counts;
CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs WHEN NEW.ready IS NOT NULL BEGIN
    UPDATE job_counts SET unfinished = unfinished + (NEW.finished_at IS NULL), done = done + (NEW.status = 'done'),
        failed = failed + (NEW.status = 'failed'), cancelled = cancelled + (NEW.status = 'cancelled')
    WHERE kind = NEW.kind;
END;
CREATE TRIGGER jobs_count_update AFTER UPDATE OF finished_at ON jobs
WHEN (NEW.finished_at IS NULL) <> (OLD.finished_at IS NULL)
BEGIN
    UPDATE job_counts SET unfinished = unfinished + (NEW.finished_at IS NULL) - (OLD.finished_at IS NULL),
        done = done + (NEW.status = 'done') - (OLD.status = 'done'),
        failed = failed + (NEW.status = 'failed') - (OLD.status = 'failed'),
        cancelled = cancelled + (NEW.status = 'cancelled') - (OLD.status = 'cancelled')
    WHERE kind = NEW.kind;
END;
CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET unfinished = unfinished - (OLD.finished_at IS NULL), done = done - (OLD.status = 'done'),
        failed = failed - (OLD.status = 'failed'), cancelled = cancelled - (OLD.status = 'cancelled')
    WHERE kind = OLD.kind;
END;
