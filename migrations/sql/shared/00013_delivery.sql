-- +goose Up
-- A run is of the gates before a landing (phase 'gate') or of what comes after it (phase 'deliver'); of_run is then the
-- run that the landing was made with, 0 for what was on the branch already. outcome is how far it is meant to go, '' for
-- as far as the plan goes.
ALTER TABLE runs ADD COLUMN phase TEXT NOT NULL DEFAULT 'gate';
ALTER TABLE runs ADD COLUMN of_run BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_phase ON runs (repo_id, branch, phase, state);
ALTER TABLE changes ADD COLUMN outcome TEXT NOT NULL DEFAULT '';

-- What a stage run holds while it runs, "env:staging lock:db": others that want the same wait.
ALTER TABLE stage_runs ADD COLUMN holds TEXT NOT NULL DEFAULT '';

-- What stages made. A stage run that took the result of another has no rows of its own: the one that was executed has
-- them. The content is kept by digest in the artifact store.
CREATE TABLE artifacts (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    name         TEXT   NOT NULL,
    type         TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    size         BIGINT NOT NULL,
    mode         BIGINT NOT NULL DEFAULT 0,
    commit_oid   TEXT   NOT NULL,
    tree_oid     TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    statement    TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    UNIQUE (stage_run_id, name)
);
CREATE INDEX artifacts_digest ON artifacts (repo_id, digest);

-- Numbers that stages measured.
CREATE TABLE metrics (
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    name         TEXT   NOT NULL,
    value        DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (stage_run_id, name)
);

-- Acceptances of digests at gates. A person's newest row for a gate and digest counts, and only while it is not withdrawn.
CREATE TABLE approvals (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    gate         TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    account_id   BIGINT NOT NULL REFERENCES accounts (id),
    note         TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    withdrawn_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX approvals_digest ON approvals (repo_id, branch, digest);

-- Stages and gates that were left out of a patch set's way, by whom and why; outcome is the one
-- that leaves them out, if that was why.
CREATE TABLE bypasses (
    id         BIGINT PRIMARY KEY,
    repo_id    BIGINT NOT NULL REFERENCES repositories (id),
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    ps         BIGINT NOT NULL,
    node       TEXT   NOT NULL,
    outcome    TEXT   NOT NULL DEFAULT '',
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    reason     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    until_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX bypasses_change ON bypasses (change_id, ps);

-- What somebody outside says about a commit or a digest.
CREATE TABLE statuses (
    id          BIGINT PRIMARY KEY,
    repo_id     BIGINT NOT NULL REFERENCES repositories (id),
    subject     TEXT   NOT NULL,
    context     TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    description TEXT   NOT NULL DEFAULT '',
    url         TEXT   NOT NULL DEFAULT '',
    account_id  BIGINT NOT NULL REFERENCES accounts (id),
    created_at  BIGINT NOT NULL
);
CREATE INDEX statuses_subject ON statuses (repo_id, subject, context);

-- An artifact on its way into an environment. seq orders them as they landed, ended_no as they ended, whatever the clock said.
CREATE TABLE promotions (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    environment  TEXT   NOT NULL,
    run_id       BIGINT NOT NULL REFERENCES runs (id),
    stage        TEXT   NOT NULL,
    seq          BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    artifact     TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    commit_oid   TEXT   NOT NULL,
    change_id    BIGINT NOT NULL DEFAULT 0,
    state        TEXT   NOT NULL,
    why          TEXT   NOT NULL DEFAULT '',
    until_at     BIGINT NOT NULL DEFAULT 0,
    requested_by BIGINT NOT NULL DEFAULT 0,
    reason       TEXT   NOT NULL DEFAULT '',
    because      BIGINT NOT NULL DEFAULT 0,
    attempts     BIGINT NOT NULL DEFAULT 0,
    stage_run_id BIGINT NOT NULL DEFAULT 0,
    deployed_at  BIGINT NOT NULL DEFAULT 0,
    errored      BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    started_at   BIGINT NOT NULL DEFAULT 0,
    ended_at     BIGINT NOT NULL DEFAULT 0,
    ended_no     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX promotions_environment ON promotions (repo_id, branch, environment, state);
CREATE INDEX promotions_run ON promotions (run_id);

-- What runs, or ran, in an environment. instance is '' but for an environment of a change's own.
CREATE TABLE assemblies (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    environment  TEXT   NOT NULL,
    instance     TEXT   NOT NULL DEFAULT '',
    run_id       BIGINT NOT NULL REFERENCES runs (id),
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    promotion_id BIGINT NOT NULL DEFAULT 0,
    change_id    BIGINT NOT NULL DEFAULT 0,
    ps           BIGINT NOT NULL DEFAULT 0,
    artifact     TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    commit_oid   TEXT   NOT NULL,
    config       TEXT   NOT NULL DEFAULT '',
    driver       TEXT   NOT NULL,
    handle       TEXT   NOT NULL DEFAULT '',
    address      TEXT   NOT NULL DEFAULT '',
    host         TEXT   NOT NULL DEFAULT '',
    dns_state    TEXT   NOT NULL DEFAULT 'NONE',
    dns_reason   TEXT   NOT NULL DEFAULT '',
    state        TEXT   NOT NULL,
    reason       TEXT   NOT NULL DEFAULT '',
    owner        TEXT   NOT NULL DEFAULT '',
    ready_since  BIGINT NOT NULL DEFAULT 0,
    soaked       BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL DEFAULT 0,
    expires_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX assemblies_environment ON assemblies (repo_id, branch, environment, state);

-- What people ordered of an environment: kind 'pin', 'veto', 'freeze', or 'broken' when nobody did. rollback says that a
-- veto also takes away what runs. Those that were lifted stay for the record.
CREATE TABLE environment_orders (
    id          BIGINT PRIMARY KEY,
    repo_id     BIGINT NOT NULL REFERENCES repositories (id),
    branch      TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    digest      TEXT   NOT NULL DEFAULT '',
    rollback    BIGINT NOT NULL DEFAULT 0,
    account_id  BIGINT NOT NULL DEFAULT 0,
    reason      TEXT   NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    until_at    BIGINT NOT NULL DEFAULT 0,
    lifted_by   BIGINT NOT NULL DEFAULT 0,
    lifted_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX environment_orders_place ON environment_orders (repo_id, branch, environment, lifted_at);

-- +goose Down
DROP TABLE environment_orders;
DROP TABLE assemblies;
DROP TABLE promotions;
DROP TABLE statuses;
DROP TABLE bypasses;
DROP TABLE approvals;
DROP TABLE metrics;
DROP TABLE artifacts;
ALTER TABLE stage_runs DROP COLUMN holds;
ALTER TABLE changes DROP COLUMN outcome;
DROP INDEX runs_phase;
ALTER TABLE runs DROP COLUMN outcome;
ALTER TABLE runs DROP COLUMN of_run;
ALTER TABLE runs DROP COLUMN phase;
