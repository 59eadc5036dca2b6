-- +goose Up
-- An entrance may have what landed on its primary without us, and is red, taken back. The row says that this was thought about
-- for a commit, once: change_id is the change that takes it back, 0 when reason says why there is none.
ALTER TABLE entrances ADD COLUMN revert_red BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entrance_runs ADD COLUMN branch TEXT NOT NULL DEFAULT '';
ALTER TABLE entrance_runs ADD COLUMN from_oid TEXT NOT NULL DEFAULT '';
CREATE TABLE entrance_reverts (
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    branch      TEXT   NOT NULL,
    commit_oid  TEXT   NOT NULL,
    run_id      BIGINT NOT NULL,
    change_id   BIGINT NOT NULL DEFAULT 0,
    made_oid    TEXT   NOT NULL DEFAULT '',
    reason      TEXT   NOT NULL DEFAULT '',
    at          BIGINT NOT NULL,
    PRIMARY KEY (entrance_id, branch, commit_oid)
);
CREATE INDEX entrance_reverts_made ON entrance_reverts (made_oid);

-- Who took an artifact back, or let it be promoted again, and why. Rows are only added.
CREATE TABLE artifact_words (
    id         BIGINT PRIMARY KEY,
    repo_id    BIGINT NOT NULL REFERENCES repositories (id),
    digest     TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    account_id BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    at         BIGINT NOT NULL
);
CREATE INDEX artifact_words_digest ON artifact_words (repo_id, digest);

-- Who stopped a stage run: one that a person stopped is not tried again by itself.
ALTER TABLE stage_runs ADD COLUMN stopped_by BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE stage_runs DROP COLUMN stopped_by;
DROP TABLE artifact_words;
DROP TABLE entrance_reverts;
ALTER TABLE entrance_runs DROP COLUMN from_oid;
ALTER TABLE entrance_runs DROP COLUMN branch;
ALTER TABLE entrances DROP COLUMN revert_red;
