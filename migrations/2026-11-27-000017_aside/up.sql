-- An effect that fails again and again steps aside: it leaves its key for one of its own, and the next of that key has its turn.
CREATE TRIGGER jobs_aside AFTER UPDATE OF order_key ON jobs WHEN OLD.status = 'running' AND OLD.order_key IS NOT NEW.order_key
BEGIN
    INSERT INTO job_turns (slot, due)
    SELECT j.slot, j.available_at FROM jobs j INDEXED BY jobs_key
    WHERE j.order_key = OLD.order_key AND j.order_key IS NOT NULL AND j.finished_at IS NULL AND j.placed IS NOT NULL AND j.id <> NEW.id
    ORDER BY j.id LIMIT 1;
END;

-- Since when an agent's start waits for its work item to be read, and whether what a job sends may have been sent already.
ALTER TABLE held_jobs ADD COLUMN story_since BIGINT;
ALTER TABLE held_jobs ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0 CHECK (doubt IN (0, 1));
