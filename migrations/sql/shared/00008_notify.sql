-- +goose Up
-- How far the story of events has been told: everything up to floor. What was told above it is in notify_told, because
-- on PostgreSQL a smaller id can become visible after a larger one. A server that is upgraded begins with what happens next.
CREATE TABLE notify_cursor (
    id    BIGINT PRIMARY KEY,
    floor BIGINT NOT NULL
);
INSERT INTO notify_cursor (id, floor) SELECT 1, COALESCE(MAX(id), 0) FROM events;

CREATE TABLE notify_told (
    event_id BIGINT PRIMARY KEY
);

-- What somebody wants to hear of. mail is all, turn or none; comments is soon, hourly or daily; own says whether what the
-- server does with their own changes is mailed. refused counts the mails in a row that their server refused for good, and
-- stopped_why, when not '', says why no more are sent until they save their preferences.
CREATE TABLE notify_preferences (
    account_id  BIGINT PRIMARY KEY REFERENCES accounts (id),
    mail        TEXT   NOT NULL,
    comments    TEXT   NOT NULL,
    own         BIGINT NOT NULL,
    refused     BIGINT NOT NULL DEFAULT 0,
    stopped_why TEXT   NOT NULL DEFAULT '',
    updated_at  BIGINT NOT NULL
);

-- Changes of which an account wants no mail.
CREATE TABLE notify_mutes (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, change_id)
);

-- One thing that one account is told. event_id is 0 for what the server tells of itself, in text. mail is how it is mailed:
-- none, soon (with what else happens to the change), summary (at due_at, with all else that waits for it) or done.
CREATE TABLE notifications (
    id         BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    event_id   BIGINT NOT NULL DEFAULT 0,
    repo_id    BIGINT NOT NULL DEFAULT 0,
    change_id  BIGINT NOT NULL DEFAULT 0,
    actor_id   BIGINT NOT NULL DEFAULT 0,
    kind       TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    turn       BIGINT NOT NULL DEFAULT 0,
    text       TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    read_at    BIGINT NOT NULL DEFAULT 0,
    mail       TEXT   NOT NULL,
    due_at     BIGINT NOT NULL DEFAULT 0,
    mail_id    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX notifications_account ON notifications (account_id, id);
CREATE INDEX notifications_unread ON notifications (account_id, read_at, change_id);
CREATE UNIQUE INDEX notifications_once ON notifications (account_id, event_id) WHERE event_id <> 0;
CREATE INDEX notifications_mail ON notifications (mail, account_id, change_id);
CREATE INDEX notifications_mail_id ON notifications (mail_id);
CREATE INDEX notifications_at ON notifications (at);

-- A mail: state is waiting, sent, failed or dropped. message_id is the same in each attempt, so that a mail which was taken
-- before a crash and is sent again arrives once. change_id is 0 for a summary.
CREATE TABLE mails (
    id          BIGINT PRIMARY KEY,
    account_id  BIGINT NOT NULL REFERENCES accounts (id),
    change_id   BIGINT NOT NULL DEFAULT 0,
    message_id  TEXT   NOT NULL UNIQUE,
    state       TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    attempts    BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX mails_account ON mails (account_id, state, created_at);
CREATE INDEX mails_age ON mails (created_at);

-- A destination outside that is told of events in a repository: kind is generic, slack or matrix. What lets us in there is
-- in a file of its own. events is the list of kinds, '' for all; failed counts the deliveries in a row that were given up.
CREATE TABLE webhooks (
    id         BIGINT PRIMARY KEY,
    repo_id    BIGINT NOT NULL REFERENCES repositories (id),
    kind       TEXT   NOT NULL,
    url        TEXT   NOT NULL,
    room       TEXT   NOT NULL DEFAULT '',
    events     TEXT   NOT NULL DEFAULT '',
    state      TEXT   NOT NULL,
    reason     TEXT   NOT NULL DEFAULT '',
    failed     BIGINT NOT NULL DEFAULT 0,
    created_by BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhooks_repo ON webhooks (repo_id, id);

-- One message to a webhook. state is waiting, delivered or failed; status and answer are of the last attempt. body is what
-- is sent; delivery is its name, the same in each attempt.
CREATE TABLE webhook_deliveries (
    id          BIGINT PRIMARY KEY,
    webhook_id  BIGINT NOT NULL REFERENCES webhooks (id),
    event_id    BIGINT NOT NULL DEFAULT 0,
    delivery    TEXT   NOT NULL UNIQUE,
    event       TEXT   NOT NULL,
    body        TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    status      BIGINT NOT NULL DEFAULT 0,
    answer      TEXT   NOT NULL DEFAULT '',
    attempts    BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (created_at);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP TABLE mails;
DROP TABLE notifications;
DROP TABLE notify_mutes;
DROP TABLE notify_preferences;
DROP TABLE notify_told;
DROP TABLE notify_cursor;
