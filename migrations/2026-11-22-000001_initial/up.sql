-- One queue, the tasks it moves, and the evidence. Times are milliseconds since the epoch, bound by the
-- programs (never the database's clock). Names in CHECKs are those of the domain's enums, joined by OR: for an IN of
-- more than two, SQLite builds and fills a table of its own at every statement that writes such a column.

CREATE TABLE tasks (
    id            INTEGER PRIMARY KEY NOT NULL,
    project       TEXT    NOT NULL,               -- Plane project id
    work_item     TEXT    NOT NULL,               -- Plane work item id
    key           TEXT    NOT NULL,               -- PREFIX-NNN
    title         TEXT    NOT NULL,
    description   TEXT    NOT NULL DEFAULT '',    -- plain text, cut; the tracker has the whole
    repo          TEXT    NOT NULL,               -- owner/name
    branch        TEXT    NOT NULL,
    base          TEXT    NOT NULL,               -- branch it was cut from and merges into
    stage         TEXT    NOT NULL CHECK (stage = 'created' OR stage = 'analysis' OR stage = 'architecture' OR stage = 'development' OR stage = 'review' OR stage = 'testing' OR stage = 'deploy' OR stage = 'done'),
    stage_version BIGINT  NOT NULL DEFAULT 0,     -- counts every change of stage or state: the compare in compare-and-swap
    state         TEXT    NOT NULL CHECK (state = 'active' OR state = 'waiting_approval' OR state = 'needs_input' OR state = 'paused' OR state = 'blocked' OR state = 'cancelled' OR state = 'done'),
    state_reason  TEXT,
    cap_since     BIGINT  NOT NULL,               -- the last human word: runs before it do not count for the cap
    approved_at   BIGINT,                         -- the last approval by a person at the analysis stage
    said          TEXT,                           -- fingerprint of the last gate outcome that was told (say once)
    head          TEXT,                           -- last commit seen on the branch
    progress_at   BIGINT  NOT NULL,               -- last new commit or change of stage
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    finished_at   BIGINT,
    tidied        INTEGER NOT NULL DEFAULT 0 CHECK (tidied IN (0, 1)), -- its worktree is removed
    UNIQUE (project, work_item),
    UNIQUE (project, key),
    UNIQUE (repo, branch)
);
CREATE INDEX tasks_open ON tasks (id) WHERE state NOT IN ('cancelled','done');
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE jobs (
    id                 INTEGER PRIMARY KEY NOT NULL,
    kind               TEXT    NOT NULL CHECK (kind = 'event' OR kind = 'agent' OR kind = 'advance' OR kind = 'effect'),
    role               TEXT    CHECK (role = 'analyst' OR role = 'architect' OR role = 'developer' OR role = 'reviewer' OR role = 'tester' OR role = 'deployer'),
    repo               TEXT,
    task_id            BIGINT  REFERENCES tasks (id),
    status             TEXT    NOT NULL DEFAULT 'queued' CHECK (status = 'queued' OR status = 'running' OR status = 'done' OR status = 'failed' OR status = 'cancelled'),
    attempts           INTEGER NOT NULL DEFAULT 0,
    max_attempts       INTEGER NOT NULL CHECK (max_attempts > 0),
    transient_attempts INTEGER NOT NULL DEFAULT 0,
    recoveries         INTEGER NOT NULL DEFAULT 0,
    run_id             TEXT,
    error              TEXT,
    note               TEXT,                      -- what came of it, for people
    worker             TEXT,
    dedupe_key         TEXT,
    order_key          TEXT,                      -- jobs of one key run one at a time, oldest first
    ready              INTEGER DEFAULT 1 CHECK (ready IN (0, 1)), -- kept by the triggers below: head of its key; null = not placed yet
    available_at       BIGINT,                    -- null = at once
    created_at         BIGINT  NOT NULL,
    started_at         BIGINT,
    finished_at        BIGINT,
    payload            TEXT    NOT NULL,          -- last: whatever stands behind it would be read through it
    CHECK ((status = 'running') <= (worker IS NOT NULL AND started_at IS NOT NULL)),
    CHECK ((status = 'done' OR status = 'failed' OR status = 'cancelled') = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX jobs_ready_now   ON jobs (kind, id) WHERE status = 'queued' AND ready = 1 AND available_at IS NULL;
CREATE INDEX jobs_ready_later ON jobs (kind, available_at) WHERE status = 'queued' AND ready = 1 AND available_at IS NOT NULL;
CREATE INDEX jobs_unplaced    ON jobs (id) WHERE status = 'queued' AND ready IS NULL;
CREATE INDEX jobs_key         ON jobs (order_key, id) WHERE order_key IS NOT NULL AND status IN ('queued','running') AND ready IS NOT NULL;
-- Of one key one runs; of those without a key any number. Few run at a time: whoever looks for some reads all.
CREATE UNIQUE INDEX jobs_running ON jobs (order_key) WHERE status = 'running';
CREATE INDEX jobs_task        ON jobs (task_id, id) WHERE task_id IS NOT NULL;
CREATE INDEX jobs_agents      ON jobs (id) WHERE kind = 'agent';

-- Exactly one unfinished job of a key is running or ready; the others wait without being looked at.
-- Who inserts says so (ready = 0) where he knows that the key is busy, and saves the second write. Deliveries are not placed
-- when they are inserted (ready = null): a flood of them is appended to the table and nothing else, and who claims places them
-- among the others, many at a time, in the order of their ids.
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
-- A finished job that an operator puts back waits if its key is busy.
CREATE TRIGGER jobs_key_revive AFTER UPDATE OF status ON jobs
WHEN NEW.order_key IS NOT NULL AND NEW.status = 'queued' AND OLD.status NOT IN ('queued','running')
BEGIN
    UPDATE jobs SET ready = NOT EXISTS (
        SELECT 1 FROM jobs j INDEXED BY jobs_key
        WHERE j.order_key = NEW.order_key AND j.order_key IS NOT NULL AND j.status IN ('queued','running') AND j.ready IS NOT NULL AND j.id <> NEW.id)
    WHERE id = NEW.id;
END;

-- Counters, so that a view costs the same with a million rows.
CREATE TABLE job_counts (
    kind   TEXT   NOT NULL,
    status TEXT   NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (kind, status)
) WITHOUT ROWID;
INSERT INTO job_counts (kind, status, n)
SELECT k.column1, s.column1, 0
FROM (VALUES ('event'),('agent'),('advance'),('effect')) k, (VALUES ('queued'),('running'),('done'),('failed'),('cancelled')) s;
-- Who inserts without placing counts what he inserts, once for many.
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

-- One webhook request, known by source + delivery id; outlives the body (which is the event job's payload). Kept in the order
-- of its coming. Keys are random: an index over them would write a page of its own for each. So the index is a table that is
-- brought up to date now and then, for thousands at a time in the order of their keys, and who inserts knows the rest by heart.
CREATE TABLE deliveries (
    job_id      INTEGER PRIMARY KEY NOT NULL,     -- the event job's
    source      TEXT   NOT NULL CHECK (source IN ('plane','gitea')),
    key         BLOB   NOT NULL,                  -- Gitea: delivery id, Plane v2: event_id (UUIDs as 16 bytes); Plane v1: SHA-256 of the body
    received_at BIGINT NOT NULL
);
CREATE TABLE delivery_keys (
    source TEXT   NOT NULL,
    key    BLOB   NOT NULL,
    job_id BIGINT NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
-- Deliveries up to this job have their keys in delivery_keys.
CREATE TABLE delivery_index (
    id   INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    upto BIGINT  NOT NULL
);
INSERT INTO delivery_index (id, upto) VALUES (1, 0);

CREATE TABLE runs (
    id              TEXT    PRIMARY KEY NOT NULL,
    job_id          BIGINT  NOT NULL,
    task_id         BIGINT  NOT NULL REFERENCES tasks (id),
    role            TEXT    NOT NULL CHECK (role = 'analyst' OR role = 'architect' OR role = 'developer' OR role = 'reviewer' OR role = 'tester' OR role = 'deployer'),
    stage           TEXT    NOT NULL,
    worker          TEXT    NOT NULL,
    host            TEXT    NOT NULL,
    dir             TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state = 'starting' OR state = 'running' OR state = 'ended' OR state = 'lost'),
    session_id      TEXT,
    resumed         INTEGER NOT NULL DEFAULT 0 CHECK (resumed IN (0, 1)),
    head_before     TEXT,
    started_at      BIGINT  NOT NULL,
    finished_at     BIGINT,
    exit_code       INTEGER,
    exit_signal     INTEGER,
    outcome         TEXT,                         -- class of the classifier
    error           TEXT,
    counts          INTEGER NOT NULL DEFAULT 0 CHECK (counts IN (0, 1)), -- counts for the role's cap
    input_tokens    BIGINT  NOT NULL DEFAULT 0,
    output_tokens   BIGINT  NOT NULL DEFAULT 0,
    cache_tokens    BIGINT  NOT NULL DEFAULT 0,
    cost_usd        DOUBLE  NOT NULL DEFAULT 0,
    cost_cumulative DOUBLE  NOT NULL DEFAULT 0,   -- as the CLI reports it: grows over resumes
    turns           INTEGER NOT NULL DEFAULT 0,
    model           TEXT,
    cli_version     TEXT,
    denied_tools    TEXT,
    stop            TEXT                          -- somebody wants it to end: why
);
CREATE INDEX runs_task ON runs (task_id, started_at);
CREATE INDEX runs_open ON runs (worker) WHERE state IN ('starting','running');
CREATE INDEX runs_job ON runs (job_id);
CREATE INDEX runs_age ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_day ON runs (started_at, cost_usd);

CREATE TABLE gate_results (
    id          INTEGER PRIMARY KEY NOT NULL,
    task_id     BIGINT NOT NULL REFERENCES tasks (id),
    job_id      BIGINT,
    gate        TEXT   NOT NULL,
    outcome     TEXT   NOT NULL CHECK (outcome = 'pass' OR outcome = 'fail' OR outcome = 'infra' OR outcome = 'waiting'),
    reason      TEXT,
    head        TEXT,
    command     TEXT,
    exit_code   INTEGER,
    duration_ms BIGINT,
    at          BIGINT NOT NULL
);
CREATE INDEX gate_results_task ON gate_results (task_id, id);

-- The audit trail: every decision that changed something, and who caused it.
CREATE TABLE transitions (
    id         INTEGER PRIMARY KEY NOT NULL,
    task_id    BIGINT NOT NULL REFERENCES tasks (id),
    job_id     BIGINT,
    version    BIGINT NOT NULL,                   -- the task's stage_version after it
    trigger    TEXT   NOT NULL,
    actor      TEXT,
    from_stage TEXT   NOT NULL,
    to_stage   TEXT   NOT NULL,
    from_state TEXT   NOT NULL,
    to_state   TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    UNIQUE (task_id, version)
);

CREATE TABLE workers (
    name             TEXT    PRIMARY KEY NOT NULL,
    host             TEXT    NOT NULL,
    pid              INTEGER NOT NULL,
    pid_start        BIGINT  NOT NULL,
    boot_id          TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state = 'running' OR state = 'draining' OR state = 'stopped'),
    max_concurrency  INTEGER NOT NULL,
    poll_interval    DOUBLE  NOT NULL,
    preflight_ok     INTEGER CHECK (preflight_ok IN (0, 1)),
    preflight_reason TEXT    NOT NULL DEFAULT 'not checked',
    started_at       BIGINT  NOT NULL,
    heartbeat_at     BIGINT  NOT NULL
);

-- What is known of an agent account: breaker, usage limit, fault of the installation. Shared by all workers.
CREATE TABLE accounts (
    name         TEXT   PRIMARY KEY NOT NULL,
    breaker      TEXT   NOT NULL,                 -- the breaker's state as JSON
    limit_until  BIGINT,
    limit_reason TEXT,
    fault        TEXT,
    fault_at     BIGINT,
    updated_at   BIGINT NOT NULL
);

-- Named positions and leases of the periodic work (reconciler, merges).
CREATE TABLE cursors (
    name       TEXT   PRIMARY KEY NOT NULL,
    value      TEXT   NOT NULL,
    owner      TEXT,
    until      BIGINT,
    updated_at BIGINT NOT NULL
);
