-- An end and the next claim change as few pages, and run as few statements, as they can. What runs, what may run next and the
-- counters of a kind stand side by side in one small table; whose turn it is in a key stands there alone, so that handing a turn
-- on writes no job. What a claim does not change is in no condition of an index: whether a job is finished says `finished_at`,
-- which a CHECK holds to its status. No function is called where a claim or an end comes by: SQLite would then keep a copy of
-- each page that the statement changes.

DROP INDEX jobs_ready_now;
DROP INDEX jobs_ready_later;
DROP INDEX jobs_unplaced;
DROP INDEX jobs_key;
DROP INDEX jobs_running;
DROP TRIGGER jobs_key_insert;
DROP TRIGGER jobs_key_finish;
DROP TRIGGER jobs_key_revive;
DROP TRIGGER jobs_count_insert;
DROP TRIGGER jobs_count_update;
DROP TRIGGER jobs_count_delete;

-- 1, or null: a delivery that nobody has placed among the others of its key yet.
ALTER TABLE jobs RENAME COLUMN ready TO placed;
-- The kind, and under it where an unfinished job stands: kind, 1 = it runs, 2 = it may run now, 3 = later; its id in 12 digits.
ALTER TABLE jobs ADD COLUMN lane BIGINT GENERATED ALWAYS AS (
    CASE kind WHEN 'event' THEN 10000000000000 WHEN 'agent' THEN 20000000000000
        WHEN 'advance' THEN 30000000000000 ELSE 40000000000000 END) VIRTUAL;
ALTER TABLE jobs ADD COLUMN slot BIGINT GENERATED ALWAYS AS (
    CASE WHEN finished_at IS NULL THEN lane + id + CASE WHEN status = 'running' THEN 1000000000000
        WHEN available_at IS NULL THEN 2000000000000 ELSE 3000000000000 END END) VIRTUAL;

-- Of an `order_key` exactly one unfinished job is here, and of those without a key each. One number, and not several columns: it
-- is found with less than half the work, and an end and the next claim look some ten times.
CREATE TABLE job_turns (
    slot       INTEGER PRIMARY KEY NOT NULL, -- the job's; a lane alone = the counters of the kind
    due        BIGINT,                       -- the job's `available_at`
    -- The queued and the running count as one: a claim changes no counter, and whoever reads them counts the few that run.
    unfinished BIGINT,
    done       BIGINT,
    failed     BIGINT,
    cancelled  BIGINT
);
CREATE INDEX job_turns_later ON job_turns (slot / 10000000000000, due) WHERE due IS NOT NULL;
INSERT INTO job_turns (slot, unfinished, done, failed, cancelled)
SELECT CASE kind WHEN 'event' THEN 10000000000000 WHEN 'agent' THEN 20000000000000
        WHEN 'advance' THEN 30000000000000 ELSE 40000000000000 END,
    sum(n) FILTER (WHERE status IN ('queued','running')), sum(n) FILTER (WHERE status = 'done'),
    sum(n) FILTER (WHERE status = 'failed'), sum(n) FILTER (WHERE status = 'cancelled')
FROM job_counts GROUP BY kind;
INSERT INTO job_turns (slot, due) SELECT slot, available_at FROM jobs WHERE finished_at IS NULL AND placed = 1;
UPDATE jobs SET placed = 1 WHERE placed = 0;
DROP TABLE job_counts;
CREATE VIEW job_counts AS
SELECT CASE slot WHEN 10000000000000 THEN 'event' WHEN 20000000000000 THEN 'agent'
        WHEN 30000000000000 THEN 'advance' ELSE 'effect' END AS kind,
    unfinished, (SELECT count(*) FROM job_turns r WHERE r.slot > c.slot + 1000000000000 AND r.slot < c.slot + 2000000000000) AS running,
    done, failed, cancelled
FROM job_turns c
WHERE slot IN (10000000000000, 20000000000000, 30000000000000, 40000000000000);

CREATE INDEX jobs_unplaced ON jobs (id) WHERE finished_at IS NULL AND placed IS NULL;
CREATE INDEX jobs_key      ON jobs (order_key, id) WHERE order_key IS NOT NULL AND finished_at IS NULL AND placed IS NOT NULL;

-- A job takes its turn unless another unfinished one of its key is there already. Who inserts without placing counts what he
-- inserts, once for many.
CREATE TRIGGER jobs_insert AFTER INSERT ON jobs WHEN NEW.placed IS NOT NULL
BEGIN
    UPDATE job_turns SET unfinished = unfinished + (NEW.finished_at IS NULL), done = done + (NEW.status = 'done'),
        failed = failed + (NEW.status = 'failed'), cancelled = cancelled + (NEW.status = 'cancelled')
    WHERE slot = NEW.lane;
    INSERT INTO job_turns (slot, due) SELECT NEW.slot, NEW.available_at WHERE NEW.slot IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL AND j.id <> NEW.id);
END;
CREATE TRIGGER jobs_place AFTER UPDATE OF placed ON jobs WHEN OLD.placed IS NULL AND NEW.placed IS NOT NULL AND NEW.slot IS NOT NULL
BEGIN
    INSERT INTO job_turns (slot, due) SELECT NEW.slot, NEW.available_at WHERE NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL AND j.id <> NEW.id);
END;
-- It begins to run, or is put back or off. Whatever runs has its turn: the rest are refused, with all that the transaction did.
CREATE TRIGGER jobs_turn AFTER UPDATE OF status, available_at ON jobs WHEN NEW.finished_at IS NULL AND OLD.finished_at IS NULL
BEGIN
    UPDATE job_turns SET slot = NEW.slot, due = NEW.available_at WHERE slot = OLD.slot;
    SELECT RAISE(ROLLBACK, 'only a job whose turn it is may run')
    WHERE NEW.status = 'running' AND NOT EXISTS (SELECT 1 FROM job_turns WHERE slot = NEW.slot);
END;
-- One that ran is finished: the next of its key has its turn. (To ask `job_turns` here whether it had its own would cost a table
-- in between.)
CREATE TRIGGER jobs_end AFTER UPDATE OF finished_at ON jobs WHEN NEW.finished_at IS NOT NULL AND OLD.status = 'running'
BEGIN
    INSERT INTO job_turns (slot, due)
    SELECT j.slot, j.available_at FROM jobs j INDEXED BY jobs_key
    WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL
    ORDER BY j.id LIMIT 1;
    DELETE FROM job_turns WHERE slot = OLD.slot;
    UPDATE job_turns SET unfinished = unfinished - 1, done = done + (NEW.status = 'done'),
        failed = failed + (NEW.status = 'failed'), cancelled = cancelled + (NEW.status = 'cancelled')
    WHERE slot = NEW.lane;
END;
-- One that waits is finished, and hands on its turn where it had it. Or an operator puts a finished one back: it waits if its key
-- is busy.
CREATE TRIGGER jobs_end_or_revive AFTER UPDATE OF finished_at ON jobs
WHEN OLD.status <> 'running' AND (NEW.finished_at IS NULL) <> (OLD.finished_at IS NULL)
BEGIN
    INSERT INTO job_turns (slot, due)
    SELECT j.slot, j.available_at FROM jobs j INDEXED BY jobs_key
    WHERE EXISTS (SELECT 1 FROM job_turns WHERE slot = OLD.slot)
        AND j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL
    ORDER BY j.id LIMIT 1;
    DELETE FROM job_turns WHERE slot = OLD.slot;
    INSERT INTO job_turns (slot, due) SELECT NEW.slot, NEW.available_at
    WHERE NEW.slot IS NOT NULL AND NEW.placed IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL AND j.id <> NEW.id);
    UPDATE job_turns SET unfinished = unfinished + (NEW.finished_at IS NULL) - (OLD.finished_at IS NULL),
        done = done + (NEW.status = 'done') - (OLD.status = 'done'),
        failed = failed + (NEW.status = 'failed') - (OLD.status = 'failed'),
        cancelled = cancelled + (NEW.status = 'cancelled') - (OLD.status = 'cancelled')
    WHERE slot = NEW.lane;
END;
CREATE TRIGGER jobs_delete AFTER DELETE ON jobs
BEGIN
    UPDATE job_turns SET unfinished = unfinished - (OLD.finished_at IS NULL), done = done - (OLD.status = 'done'),
        failed = failed - (OLD.status = 'failed'), cancelled = cancelled - (OLD.status = 'cancelled')
    WHERE slot = OLD.lane;
END;
-- By hand alone: what is forgotten in time is finished.
CREATE TRIGGER jobs_delete_unfinished AFTER DELETE ON jobs WHEN OLD.finished_at IS NULL
BEGIN
    INSERT INTO job_turns (slot, due)
    SELECT j.slot, j.available_at FROM jobs j INDEXED BY jobs_key
    WHERE (OLD.status = 'running' OR EXISTS (SELECT 1 FROM job_turns WHERE slot = OLD.slot))
        AND j.order_key = OLD.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL
    ORDER BY j.id LIMIT 1;
    DELETE FROM job_turns WHERE slot = OLD.slot;
END;
