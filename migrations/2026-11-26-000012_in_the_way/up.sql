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
