-- Deliveries of one commit that are not yet jobs of their own: what comes in a crowd is stored as one row, and becomes a row of
-- `jobs` and one of `deliveries` each when it is quiet again, or when somebody claims. The last delivery of a crowd is a job at
-- once: it keeps the numbers before it from being given to others.
CREATE TABLE bundles (
    first_job   INTEGER PRIMARY KEY NOT NULL,
    last_job    BIGINT NOT NULL,                  -- inclusive; the one behind it is a job already
    received_at BIGINT NOT NULL,
    keys        BLOB   NOT NULL,                  -- source and key of each
    contents    BLOB   NOT NULL                   -- order key, repository and payload of each, compressed together
);
