-- What a run has cost before its result tells: counted from its log while it goes on, marked as estimated until a result's
-- figures replace it.
ALTER TABLE runs ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1)); -- cost and tokens are counted, not told
ALTER TABLE runs ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0 CHECK (unpriced IN (0, 1)); -- some of its tokens have no price
ALTER TABLE runs ADD COLUMN budget_stop TEXT; -- the budget that ended it, as JSON: which, limit, spent
DROP INDEX runs_day;
CREATE INDEX runs_day ON runs (started_at, cost_usd, input_tokens, output_tokens, cache_tokens, estimated, unpriced);
CREATE INDEX runs_session ON runs (session_id) WHERE session_id IS NOT NULL;
