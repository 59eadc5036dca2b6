-- +goose Up
-- SQLite has no sequences: one row holds the last id of each kind.
CREATE TABLE sequences (
    name  TEXT   PRIMARY KEY,
    value BIGINT NOT NULL
);

-- +goose Down
DROP TABLE sequences;
