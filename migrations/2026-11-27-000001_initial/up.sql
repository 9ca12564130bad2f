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
    worked        INTEGER NOT NULL DEFAULT 0 CHECK (worked IN (0, 1)), -- a run of the stage's role ended well in this round
    round_head    TEXT,                           -- the branch's head when the round began; null = the branch was not seen before
    recheck       INTEGER NOT NULL DEFAULT 0 CHECK (recheck IN (0, 1)), -- the round began because evidence was gone
    pull          BIGINT,                         -- number of the task's pull request at the forge; a branch does not identify one
    UNIQUE (project, work_item),
    UNIQUE (project, key),
    UNIQUE (repo, branch)
);
CREATE INDEX tasks_open ON tasks (id) WHERE state NOT IN ('cancelled','done');
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_pull ON tasks (repo, pull) WHERE pull IS NOT NULL;

-- The queue. A job may be claimed when it is queued, `ready` and due.
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
    order_key          TEXT,                      -- serial queue: jobs of one key run one at a time, oldest first
    ready              INTEGER NOT NULL DEFAULT 1 CHECK (ready IN (0, 1)), -- first unfinished job of its key, or has no key
    available_at       BIGINT,                    -- not before this time; null = at once
    created_at         BIGINT  NOT NULL,
    started_at         BIGINT,
    finished_at        BIGINT,
    payload            TEXT    NOT NULL,          -- last: columns behind it would be read through it
    CHECK (status <> 'running' OR (ready AND worker IS NOT NULL AND started_at IS NOT NULL)),
    CHECK ((status = 'done' OR status = 'failed' OR status = 'cancelled') = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;
-- What a claim looks at: jobs that may run now, and those that wait for their time.
CREATE INDEX jobs_ready_now   ON jobs (kind, id) WHERE status = 'queued' AND ready = 1 AND available_at IS NULL;
CREATE INDEX jobs_ready_later ON jobs (kind, available_at) WHERE status = 'queued' AND ready = 1 AND available_at IS NOT NULL;
CREATE INDEX jobs_running     ON jobs (id) WHERE status = 'running';
CREATE INDEX jobs_key         ON jobs (order_key, id) WHERE order_key IS NOT NULL AND finished_at IS NULL;
-- Of one key, one job is ready; and only a ready one can run (see the CHECK).
CREATE UNIQUE INDEX jobs_key_head ON jobs (order_key) WHERE order_key IS NOT NULL AND finished_at IS NULL AND ready = 1;
CREATE INDEX jobs_task        ON jobs (task_id, id) WHERE task_id IS NOT NULL;
-- Agent jobs are those with a role. (With `kind = 'agent'` here, SQLite would compile every statement with a bound kind at each
-- execution: whether it may use this index would depend on the value.)
CREATE INDEX jobs_agents      ON jobs (id) WHERE role IS NOT NULL;

-- `ready` is set when a job is inserted or put back (jobs/enqueue.rs, jobs/operate.rs). When the head of a key ends, leaves
-- the key or is deleted, the next one becomes ready.
CREATE TRIGGER jobs_key_next AFTER UPDATE OF finished_at, order_key ON jobs
WHEN OLD.order_key IS NOT NULL AND OLD.ready = 1 AND OLD.finished_at IS NULL
    AND (NEW.finished_at IS NOT NULL OR NEW.order_key IS NOT OLD.order_key)
BEGIN
    UPDATE jobs SET ready = 1 WHERE id = (
        SELECT min(id) FROM jobs WHERE order_key = OLD.order_key AND order_key IS NOT NULL AND finished_at IS NULL);
END;
CREATE TRIGGER jobs_key_next_after_delete AFTER DELETE ON jobs
WHEN OLD.order_key IS NOT NULL AND OLD.ready = 1 AND OLD.finished_at IS NULL
BEGIN
    UPDATE jobs SET ready = 1 WHERE id = (
        SELECT min(id) FROM jobs WHERE order_key = OLD.order_key AND order_key IS NOT NULL AND finished_at IS NULL);
END;

-- How many jobs there are of each kind and status, so that a view costs the same with a million rows.
CREATE TABLE job_counts (
    kind   TEXT   NOT NULL,
    status TEXT   NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (kind, status)
) WITHOUT ROWID;
INSERT INTO job_counts (kind, status, n)
SELECT k.column1, s.column1, 0
FROM (VALUES ('event'),('agent'),('advance'),('effect')) k, (VALUES ('queued'),('running'),('done'),('failed'),('cancelled')) s;
CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs BEGIN
    UPDATE job_counts SET n = n + 1 WHERE kind = NEW.kind AND status = NEW.status;
END;
CREATE TRIGGER jobs_count_status AFTER UPDATE OF status ON jobs WHEN NEW.status <> OLD.status BEGIN
    UPDATE job_counts SET n = n - 1 WHERE kind = OLD.kind AND status = OLD.status;
    UPDATE job_counts SET n = n + 1 WHERE kind = NEW.kind AND status = NEW.status;
END;
CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET n = n - 1 WHERE kind = OLD.kind AND status = OLD.status;
END;

-- Jobs that wait for something to pass, and what is known of their attempts. Shared by all workers.
CREATE TABLE held_jobs (
    job         INTEGER PRIMARY KEY NOT NULL,
    scope       TEXT,                             -- waits for the end of this outage
    tries       INTEGER NOT NULL DEFAULT 0,       -- tries at no charge
    since       BIGINT,                           -- waits since
    told        INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)), -- people know that it waits
    story_since BIGINT,                           -- an agent's start waits since then for its work item to be read
    doubt       INTEGER NOT NULL DEFAULT 0 CHECK (doubt IN (0, 1)) -- what it sends may have been sent already
);
CREATE INDEX held_jobs_scope ON held_jobs (scope) WHERE scope IS NOT NULL;

-- A service, or one repository of the forge, that gives no answers: since when, and what was heard last. The row is gone when it
-- answers again.
CREATE TABLE outages (
    scope TEXT    PRIMARY KEY NOT NULL,
    since BIGINT  NOT NULL,
    words TEXT    NOT NULL,
    told  INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
);

-- One webhook request, known by source and key. Outlives its body, which is the event job's payload.
CREATE TABLE deliveries (
    job_id      INTEGER PRIMARY KEY NOT NULL,     -- the event job's
    source      TEXT   NOT NULL CHECK (source IN ('plane','gitea')),
    key         BLOB   NOT NULL,                  -- Gitea: delivery id, Plane v2: event_id (UUIDs as 16 bytes); Plane v1: SHA-256 of the body
    received_at BIGINT NOT NULL,
    UNIQUE (source, key)
);

-- Webhook requests that were not taken, by sender and reason: how many, and when.
CREATE TABLE refusals (
    source   TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    count    BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (source, reason)
) WITHOUT ROWID;

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
    stop            TEXT,                         -- somebody wants it to end: why
    estimated       INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1)), -- cost and tokens are counted from the log, not from a result
    unpriced        INTEGER NOT NULL DEFAULT 0 CHECK (unpriced IN (0, 1)), -- some of its tokens have no price
    budget_stop     TEXT                          -- the budget that ended it, as JSON: which, limit, spent
);
CREATE INDEX runs_task ON runs (task_id, started_at);
CREATE INDEX runs_job ON runs (job_id);
CREATE INDEX runs_day ON runs (started_at, cost_usd, input_tokens, output_tokens, cache_tokens, estimated, unpriced);
CREATE INDEX runs_session ON runs (session_id) WHERE session_id IS NOT NULL;

CREATE TABLE gate_results (
    id            INTEGER PRIMARY KEY NOT NULL,
    task_id       BIGINT NOT NULL REFERENCES tasks (id),
    job_id        BIGINT,
    gate          TEXT   NOT NULL,
    outcome       TEXT   NOT NULL CHECK (outcome = 'pass' OR outcome = 'fail' OR outcome = 'infra' OR outcome = 'waiting'),
    reason        TEXT,
    head          TEXT,                           -- the judged commit
    command       TEXT,
    exit_code     INTEGER,
    duration_ms   BIGINT,
    at            BIGINT NOT NULL,
    tree          TEXT,                           -- the judged commit's
    output_sha256 TEXT,                           -- of the whole output of a run of the tests
    evidence      TEXT,                           -- the commit that the evidence was taken on: where a role's run began, or a review or CI named
    detail        TEXT                            -- a failure's whole account, with the end of the output that shows it
);
CREATE INDEX gate_results_task ON gate_results (task_id, id);

-- The commits of a task's branch that the forge had nowhere before the orchestrator published them: its roles' work. All others came from there.
CREATE TABLE published (
    task_id   BIGINT NOT NULL REFERENCES tasks (id),
    commit_id TEXT NOT NULL,
    PRIMARY KEY (task_id, commit_id)
) WITHOUT ROWID;

-- What an agent left beside its work, each thing once: the same commit under the same name is the same thing.
CREATE TABLE leftovers (
    id        INTEGER PRIMARY KEY NOT NULL,
    task_id   BIGINT NOT NULL REFERENCES tasks (id),
    run_id    TEXT,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    kept      TEXT,
    commit_id TEXT NOT NULL DEFAULT '',
    at        BIGINT NOT NULL,
    told      INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
);
CREATE UNIQUE INDEX leftovers_task ON leftovers (task_id, kind, name, commit_id);

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

-- What stands in the way of a task at the forge, as people were told of it; the row is gone when it is mended.
CREATE TABLE in_the_way (
    task   INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    detail TEXT    NOT NULL,
    since  BIGINT  NOT NULL,
    PRIMARY KEY (task, kind)
);

-- The forge's id of a project's repository (`repo`: as it is configured, in lower case), by which it is found again under a new
-- name, and the name that it has there now.
CREATE TABLE repositories (
    repo TEXT   PRIMARY KEY NOT NULL,
    id   BIGINT NOT NULL,
    name TEXT   NOT NULL
);

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
