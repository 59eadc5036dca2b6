-- +goose Up
-- The second entrance of a repository: another server where changes are proposed. forge says how it speaks; address is the
-- one place that is ever fetched from. What lets us in there, and what its deliveries are signed with, are files.
-- lands is how a change returns: push, merge (its API) or none; outcome is what new changes are meant to reach. secret_until is until when the secret before counts too.
CREATE TABLE entrances (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    forge        TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    username     TEXT   NOT NULL DEFAULT '',
    public_key   TEXT   NOT NULL DEFAULT '',
    api          TEXT   NOT NULL DEFAULT '',
    project      TEXT   NOT NULL DEFAULT '',
    local        BIGINT NOT NULL DEFAULT 0,
    account_id   BIGINT NOT NULL REFERENCES accounts (id),
    events       TEXT   NOT NULL DEFAULT '',
    lands        TEXT   NOT NULL,
    reviews      TEXT   NOT NULL DEFAULT '',
    report       TEXT   NOT NULL DEFAULT '',
    outcome      TEXT   NOT NULL DEFAULT '',
    submit       BIGINT NOT NULL DEFAULT 0,
    poll         BIGINT NOT NULL DEFAULT 0,
    secret_until BIGINT NOT NULL DEFAULT 0,
    looked_at    BIGINT NOT NULL DEFAULT 0,
    reason       TEXT   NOT NULL DEFAULT '',
    created_by   BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    UNIQUE (repo_id, address)
);

-- The account that stands for everybody of one kind of forge; nobody can sign in as it.
CREATE TABLE entrance_accounts (
    forge      TEXT   PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id)
);

-- Who somebody there is here. An owner of the repository said so.
CREATE TABLE entrance_people (
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    login       TEXT   NOT NULL,
    account_id  BIGINT NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (entrance_id, login)
);

-- What an entrance was told, and what was decided. delivery is the name that the sender gave, digest that of the body;
-- refused ones (state REJECTED) keep neither name nor body free from being used by the real one. notice is what was
-- understood, in JSON.
CREATE TABLE entrance_deliveries (
    id          BIGINT PRIMARY KEY,
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    delivery    TEXT   NOT NULL,
    digest      TEXT   NOT NULL,
    event       TEXT   NOT NULL DEFAULT '',
    notice      TEXT   NOT NULL DEFAULT '',
    state       TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    change_id   BIGINT NOT NULL DEFAULT 0,
    at          BIGINT NOT NULL,
    done_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX entrance_deliveries_entrance ON entrance_deliveries (entrance_id, id);
CREATE UNIQUE INDEX entrance_deliveries_name ON entrance_deliveries (entrance_id, delivery) WHERE state <> 'REJECTED' AND state <> 'DUPLICATE';
CREATE UNIQUE INDEX entrance_deliveries_body ON entrance_deliveries (entrance_id, digest) WHERE state <> 'REJECTED' AND state <> 'DUPLICATE';

-- Where a change came from: number is the pull request, merge request or change there, head its newest commit as it was
-- last fetched. outcome is how far its run is meant to go, '' for as far as it usually does.
CREATE TABLE change_origins (
    change_id   BIGINT PRIMARY KEY REFERENCES changes (id),
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    number      BIGINT NOT NULL,
    url         TEXT   NOT NULL DEFAULT '',
    author      TEXT   NOT NULL DEFAULT '',
    head_oid    TEXT   NOT NULL,
    outcome     TEXT   NOT NULL DEFAULT '',
    outcome_by  TEXT   NOT NULL DEFAULT '',
    at          BIGINT NOT NULL
);
CREATE INDEX change_origins_number ON change_origins (entrance_id, number);

-- The branches of a primary elsewhere, as they were last seen. state is synced, rewritten (it does not follow from ours:
-- closed until a person accepts it), refused (it does not take what we land; tried again at again_at), or away (it does not
-- answer). What landed there without us up to noted_oid was taken note of.
CREATE TABLE entrance_branches (
    repo_id     BIGINT NOT NULL REFERENCES repositories (id),
    branch      TEXT   NOT NULL,
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    outside_oid TEXT   NOT NULL DEFAULT '',
    state       TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    accepted    TEXT   NOT NULL DEFAULT '',
    noted_oid   TEXT   NOT NULL DEFAULT '',
    seen_at     BIGINT NOT NULL DEFAULT 0,
    again_at    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (repo_id, branch)
);

-- The runs of commits that landed there without us, or that a merge queue there asks about.
CREATE TABLE entrance_runs (
    run_id      BIGINT PRIMARY KEY REFERENCES runs (id),
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    commit_oid  TEXT   NOT NULL,
    at          BIGINT NOT NULL
);

-- The statuses that a forge was sent, by commit and name, so that each is sent once.
CREATE TABLE entrance_statuses (
    entrance_id BIGINT NOT NULL REFERENCES entrances (id),
    commit_oid  TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    sent        TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (entrance_id, commit_oid, name)
);

-- How far the story of events has been reported.
CREATE TABLE entrance_cursor (
    id    BIGINT PRIMARY KEY,
    floor BIGINT NOT NULL
);
INSERT INTO entrance_cursor (id, floor) SELECT 1, COALESCE(MAX(id), 0) FROM events;

-- +goose Down
DROP TABLE entrance_cursor;
DROP TABLE entrance_statuses;
DROP TABLE entrance_runs;
DROP TABLE entrance_branches;
DROP TABLE change_origins;
DROP TABLE entrance_deliveries;
DROP TABLE entrance_people;
DROP TABLE entrance_accounts;
DROP TABLE entrances;
