-- Webhook requests that were not taken, by sender and reason: how many, and when. One row for each pair, whatever comes.
CREATE TABLE refusals (
    source   TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    count    BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (source, reason)
) WITHOUT ROWID;
