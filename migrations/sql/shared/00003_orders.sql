-- +goose Up
-- What people told the queue about a change: kind is priority or hold. A priority counts for the patch set ps
-- that it was given to, a hold for the change until somebody releases it.
CREATE TABLE queue_orders (
    change_id BIGINT NOT NULL REFERENCES changes (id),
    kind      TEXT   NOT NULL,
    ps        BIGINT NOT NULL,
    priority  BIGINT NOT NULL DEFAULT 0,
    by_id     BIGINT NOT NULL REFERENCES accounts (id),
    reason    TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (change_id, kind)
);

-- Nothing but hotfixes lands on a frozen branch; until_at 0 is until somebody thaws it.
CREATE TABLE queue_freezes (
    repo_id  BIGINT NOT NULL REFERENCES repositories (id),
    branch   TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    until_at BIGINT NOT NULL DEFAULT 0,
    by_id    BIGINT NOT NULL REFERENCES accounts (id),
    at       BIGINT NOT NULL,
    PRIMARY KEY (repo_id, branch)
);

-- +goose Down
DROP TABLE queue_freezes;
DROP TABLE queue_orders;
