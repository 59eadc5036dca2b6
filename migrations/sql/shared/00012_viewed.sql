-- +goose Up
-- A row says that somebody has viewed a file of a change as it was in patch set ps. digest names what the patch set does
-- to the file: the mark holds for every patch set that does the same.
CREATE TABLE viewed (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    path       TEXT   NOT NULL,
    ps         BIGINT NOT NULL,
    digest     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, change_id, path)
);

-- +goose Down
DROP TABLE viewed;
