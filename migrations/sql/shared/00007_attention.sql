-- +goose Up
-- The attention set: whose turn it is on an open change, since when, and why. by_id is who made it so, 0 for the server.
CREATE TABLE attention (
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    reason     TEXT   NOT NULL,
    by_id      BIGINT NOT NULL DEFAULT 0,
    since      BIGINT NOT NULL,
    PRIMARY KEY (change_id, account_id)
);
CREATE INDEX attention_account ON attention (account_id, since);
INSERT INTO attention (change_id, account_id, reason, since)
    SELECT w.change_id, w.account_id, 'you are asked to review it', w.created_at FROM reviewers w JOIN changes c ON c.id = w.change_id
    WHERE w.state = 'reviewer' AND c.status = 'open' AND c.wip = 0 AND c.owner_id <> w.account_id AND NOT EXISTS (
        SELECT 1 FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps AND v.account_id = w.account_id);

-- A star marks a change for one account.
CREATE TABLE stars (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, change_id)
);
CREATE INDEX stars_change ON stars (change_id);

-- What an account wants to see on its dashboard: the changes of a repository, a branch, below a path, or those that a
-- search finds. Empty columns (0 for the repository) narrow nothing.
CREATE TABLE watches (
    id         BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    repo_id    BIGINT NOT NULL DEFAULT 0,
    branch     TEXT   NOT NULL DEFAULT '',
    path       TEXT   NOT NULL DEFAULT '',
    query      TEXT   NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    UNIQUE (account_id, repo_id, branch, path, query)
);

-- A search that an account keeps under a name.
CREATE TABLE searches (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name       TEXT   NOT NULL,
    query      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name)
);

-- What a change can be found by, of its current patch set: field is path (a path that it touches), part (a folder above
-- one, its last name, or * and its extension), word (of the commit message, in small letters) or author (an address, or a
-- word of the name).
CREATE TABLE search_terms (
    field     TEXT   NOT NULL,
    term      TEXT   NOT NULL,
    change_id BIGINT NOT NULL REFERENCES changes (id),
    PRIMARY KEY (field, term, change_id)
);
CREATE INDEX search_terms_change ON search_terms (change_id, field);

-- How many paths the patch set touches; -1 when that is not known yet.
ALTER TABLE patch_sets ADD COLUMN touched BIGINT NOT NULL DEFAULT -1;

-- Lists are read newest first, page by page.
CREATE INDEX changes_recent ON changes (updated_at, id);
CREATE INDEX changes_recent_status ON changes (status, updated_at, id);
CREATE INDEX changes_recent_owner ON changes (owner_id, updated_at, id);
CREATE INDEX changes_recent_repo ON changes (repo_id, updated_at, id);
CREATE INDEX changes_topic ON changes (topic, updated_at, id);
CREATE INDEX changes_key ON changes (change_key);
CREATE INDEX votes_account ON votes (account_id, change_id);

-- +goose Down
DROP INDEX votes_account;
DROP INDEX changes_key;
DROP INDEX changes_topic;
DROP INDEX changes_recent_repo;
DROP INDEX changes_recent_owner;
DROP INDEX changes_recent_status;
DROP INDEX changes_recent;
ALTER TABLE patch_sets DROP COLUMN touched;
DROP TABLE search_terms;
DROP TABLE searches;
DROP TABLE watches;
DROP TABLE stars;
DROP TABLE attention;
