-- +goose Up
-- A comment on several lines begins at start_line and ends at line; on one line or none, start_line is 0. start_char and
-- end_char, in characters from 0, say which part of the first and up to which of the last line is meant; end_char 0 is
-- whole lines.
ALTER TABLE comments ADD COLUMN start_line BIGINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN start_char BIGINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN end_char BIGINT NOT NULL DEFAULT 0;

-- Comments that somebody has written and not published: nobody else sees them.
CREATE TABLE drafts (
    id         BIGINT PRIMARY KEY,
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    ps         BIGINT NOT NULL,
    path       TEXT   NOT NULL DEFAULT '',
    side       TEXT   NOT NULL DEFAULT '',
    line       BIGINT NOT NULL DEFAULT 0,
    start_line BIGINT NOT NULL DEFAULT 0,
    start_char BIGINT NOT NULL DEFAULT 0,
    end_char   BIGINT NOT NULL DEFAULT 0,
    reply_to   BIGINT NOT NULL DEFAULT 0,
    body       TEXT   NOT NULL,
    unresolved BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX drafts_account ON drafts (account_id, change_id, id);

-- Suggestions that were applied: the one at position, from 0, in a comment's text went into the patch set ps.
CREATE TABLE applied_suggestions (
    comment_id BIGINT NOT NULL REFERENCES comments (id),
    position   BIGINT NOT NULL,
    ps         BIGINT NOT NULL,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    at         BIGINT NOT NULL,
    PRIMARY KEY (comment_id, position)
);

-- +goose Down
DROP TABLE applied_suggestions;
DROP TABLE drafts;
ALTER TABLE comments DROP COLUMN end_char;
ALTER TABLE comments DROP COLUMN start_char;
ALTER TABLE comments DROP COLUMN start_line;
