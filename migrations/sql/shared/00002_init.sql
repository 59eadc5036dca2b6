-- +goose Up
-- Times are microseconds since the Unix epoch, UTC. Booleans are 0 or 1. Ids come from sequences.

CREATE TABLE accounts (
    id            BIGINT PRIMARY KEY,
    name          TEXT   NOT NULL UNIQUE,
    email         TEXT   NOT NULL UNIQUE,
    full_name     TEXT   NOT NULL DEFAULT '',
    password_hash TEXT   NOT NULL DEFAULT '',
    admin         BIGINT NOT NULL DEFAULT 0,
    disabled      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL
);

CREATE TABLE ssh_keys (
    id          BIGINT PRIMARY KEY,
    account_id  BIGINT NOT NULL REFERENCES accounts (id),
    blob        TEXT   NOT NULL UNIQUE,
    fingerprint TEXT   NOT NULL,
    comment     TEXT   NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL
);
CREATE INDEX ssh_keys_account ON ssh_keys (account_id);

-- A token is an API token, a browser session or a one-time sign-in link; only its SHA-256 is kept.
CREATE TABLE tokens (
    id         BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    kind       TEXT   NOT NULL,
    hash       TEXT   NOT NULL UNIQUE,
    label      TEXT   NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL DEFAULT 0,
    used_at    BIGINT NOT NULL DEFAULT 0,
    revoked_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX tokens_account ON tokens (account_id);

CREATE TABLE account_groups (
    id   BIGINT PRIMARY KEY,
    name TEXT   NOT NULL UNIQUE
);
CREATE TABLE group_members (
    group_id   BIGINT NOT NULL REFERENCES account_groups (id),
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (group_id, account_id)
);

CREATE TABLE repositories (
    id             BIGINT PRIMARY KEY,
    name           TEXT   NOT NULL UNIQUE,
    description    TEXT   NOT NULL DEFAULT '',
    default_branch TEXT   NOT NULL,
    visibility     TEXT   NOT NULL,
    gated          TEXT   NOT NULL,
    default_role   TEXT   NOT NULL,
    direct_push    TEXT   NOT NULL,
    topic_identity BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL
);

-- Who has which role on a repository; a branch pattern narrows a grant ('' means every branch).
CREATE TABLE grants (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    subject_kind TEXT   NOT NULL,
    subject_id   BIGINT NOT NULL,
    branch       TEXT   NOT NULL DEFAULT '',
    role         TEXT   NOT NULL,
    UNIQUE (repo_id, subject_kind, subject_id, branch)
);

-- Branch rules take a verb on a branch pattern away from everybody but the named role.
CREATE TABLE branch_rules (
    id      BIGINT PRIMARY KEY,
    repo_id BIGINT NOT NULL REFERENCES repositories (id),
    pattern TEXT   NOT NULL,
    verb    TEXT   NOT NULL,
    role    TEXT   NOT NULL,
    UNIQUE (repo_id, pattern, verb)
);

-- wanted counts what was asked of a mirror: a sync that began before the last request is not the last.
CREATE TABLE mirrors (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    position     BIGINT NOT NULL,
    url          TEXT   NOT NULL,
    username     TEXT   NOT NULL DEFAULT '',
    secret_file  TEXT   NOT NULL DEFAULT '',
    public_key   TEXT   NOT NULL DEFAULT '',
    state        TEXT   NOT NULL,
    reason       TEXT   NOT NULL DEFAULT '',
    attempts     BIGINT NOT NULL DEFAULT 0,
    next_try_at  BIGINT NOT NULL DEFAULT 0,
    last_sync_at BIGINT NOT NULL DEFAULT 0,
    last_oid     TEXT   NOT NULL DEFAULT '',
    wanted       BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    UNIQUE (repo_id, url)
);

-- The append-only story of everything that happened; pages, waiting pushes and streams read it.
CREATE TABLE events (
    id         BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    repo_id    BIGINT NOT NULL DEFAULT 0,
    change_id  BIGINT NOT NULL DEFAULT 0,
    account_id BIGINT NOT NULL DEFAULT 0,
    data       TEXT   NOT NULL DEFAULT '{}'
);
CREATE INDEX events_change ON events (change_id, id);
CREATE INDEX events_repo ON events (repo_id, id);

-- changes.id is the change number, unique on the server.
CREATE TABLE changes (
    id             BIGINT PRIMARY KEY,
    repo_id        BIGINT NOT NULL REFERENCES repositories (id),
    branch         TEXT   NOT NULL,
    change_key     TEXT   NOT NULL,
    topic          TEXT   NOT NULL DEFAULT '',
    owner_id       BIGINT NOT NULL REFERENCES accounts (id),
    subject        TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    wip            BIGINT NOT NULL DEFAULT 0,
    current_ps     BIGINT NOT NULL,
    submit_by      BIGINT NOT NULL DEFAULT 0,
    submit_at      BIGINT NOT NULL DEFAULT 0,
    landed_commit  TEXT   NOT NULL DEFAULT '',
    landed_ps      BIGINT NOT NULL DEFAULT 0,
    closed_at      BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE (repo_id, branch, change_key)
);
CREATE INDEX changes_status ON changes (status, updated_at);
CREATE INDEX changes_updated ON changes (updated_at);
CREATE INDEX changes_owner ON changes (owner_id, status);
CREATE INDEX changes_branch ON changes (repo_id, branch, status);

CREATE TABLE patch_sets (
    change_id       BIGINT NOT NULL REFERENCES changes (id),
    number          BIGINT NOT NULL,
    commit_oid      TEXT   NOT NULL,
    tree_oid        TEXT   NOT NULL,
    parent_oid      TEXT   NOT NULL,
    parents         BIGINT NOT NULL,
    uploader_id     BIGINT NOT NULL REFERENCES accounts (id),
    author_name     TEXT   NOT NULL,
    author_email    TEXT   NOT NULL,
    committer_email TEXT   NOT NULL,
    co_authors      TEXT   NOT NULL DEFAULT '',
    message         TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    diff_digest     TEXT   NOT NULL,
    description     TEXT   NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (change_id, number)
);
CREATE INDEX patch_sets_commit ON patch_sets (commit_oid);

-- All parents of a patch set's commit: stacks are derived from them.
CREATE TABLE patch_set_parents (
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    ps         BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    parent_oid TEXT   NOT NULL,
    PRIMARY KEY (change_id, ps, position)
);
CREATE INDEX patch_set_parents_oid ON patch_set_parents (parent_oid);

-- Who was asked to look at a change, or did: state is reviewer or cc.
CREATE TABLE reviewers (
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    state      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (change_id, account_id)
);
CREATE INDEX reviewers_account ON reviewers (account_id);

CREATE TABLE votes (
    change_id   BIGINT NOT NULL REFERENCES changes (id),
    ps          BIGINT NOT NULL,
    label       TEXT   NOT NULL,
    account_id  BIGINT NOT NULL REFERENCES accounts (id),
    value       BIGINT NOT NULL,
    commit_oid  TEXT   NOT NULL,
    diff_digest TEXT   NOT NULL,
    branch      TEXT   NOT NULL,
    copied_from BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (change_id, ps, label, account_id)
);

CREATE TABLE comments (
    id         BIGINT PRIMARY KEY,
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    ps         BIGINT NOT NULL,
    path       TEXT   NOT NULL DEFAULT '',
    side       TEXT   NOT NULL DEFAULT '',
    line       BIGINT NOT NULL DEFAULT 0,
    reply_to   BIGINT NOT NULL DEFAULT 0,
    author_id  BIGINT NOT NULL REFERENCES accounts (id),
    body       TEXT   NOT NULL,
    unresolved BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX comments_change ON comments (change_id, id);

CREATE TABLE messages (
    id         BIGINT PRIMARY KEY,
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    ps         BIGINT NOT NULL,
    author_id  BIGINT NOT NULL DEFAULT 0,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX messages_change ON messages (change_id, id);

-- A candidate is the commit that would land: its members, patch sets written "12.1 14.2", on a base, made once, tested,
-- and landed as it is. change_id and ps are the last member, 0 for a run of the bare branch. seq is how many changes had
-- landed on the branch when it was made, stands_on what it assumed to land before it. Where that conflicts there is no
-- base, and ground says what was tried. plan_digest is the plan that its runs follow. checks says that it is the one by
-- which a patch set is checked before it may queue, spare that it was tried as an alternate. What is void counts for nothing.
CREATE TABLE candidates (
    id          BIGINT PRIMARY KEY,
    repo_id     BIGINT NOT NULL REFERENCES repositories (id),
    branch      TEXT   NOT NULL,
    change_id   BIGINT NOT NULL,
    ps          BIGINT NOT NULL,
    members     TEXT   NOT NULL,
    stands_on   TEXT   NOT NULL DEFAULT '',
    seq         BIGINT NOT NULL DEFAULT 0,
    base_oid    TEXT   NOT NULL,
    ground      TEXT   NOT NULL DEFAULT '',
    how         TEXT   NOT NULL,
    commit_oid  TEXT   NOT NULL DEFAULT '',
    tree_oid    TEXT   NOT NULL DEFAULT '',
    conflict    TEXT   NOT NULL DEFAULT '',
    plan_digest TEXT   NOT NULL DEFAULT '',
    checks      BIGINT NOT NULL DEFAULT 0,
    spare       BIGINT NOT NULL DEFAULT 0,
    void        BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    UNIQUE (repo_id, branch, base_oid, ground, how, members)
);

-- The changes in a candidate: role is member or on. commit_oid is the commit that a member lands as.
CREATE TABLE candidate_changes (
    candidate_id BIGINT NOT NULL REFERENCES candidates (id),
    role         TEXT   NOT NULL,
    position     BIGINT NOT NULL,
    change_id    BIGINT NOT NULL,
    ps           BIGINT NOT NULL,
    commit_oid   TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (candidate_id, role, position)
);
CREATE INDEX candidate_changes_change ON candidate_changes (change_id, ps, role);

-- What one patch set on a base comes to: the steps of which candidates are made, each done once.
CREATE TABLE merges (
    repo_id    BIGINT NOT NULL REFERENCES repositories (id),
    base_oid   TEXT   NOT NULL,
    change_id  BIGINT NOT NULL,
    ps         BIGINT NOT NULL,
    how        TEXT   NOT NULL,
    commit_oid TEXT   NOT NULL DEFAULT '',
    tree_oid   TEXT   NOT NULL DEFAULT '',
    conflict   TEXT   NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    PRIMARY KEY (repo_id, base_oid, change_id, ps, how)
);
CREATE INDEX merges_commit ON merges (commit_oid);

CREATE TABLE runs (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    change_id    BIGINT NOT NULL,
    ps           BIGINT NOT NULL,
    candidate_id BIGINT NOT NULL REFERENCES candidates (id),
    commit_oid   TEXT   NOT NULL,
    plan_oid     TEXT   NOT NULL,
    plan_digest  TEXT   NOT NULL,
    attempt      BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    reason       TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    finished_at  BIGINT NOT NULL DEFAULT 0,
    UNIQUE (candidate_id, plan_digest, attempt)
);
CREATE INDEX runs_change ON runs (change_id, ps);
CREATE INDEX runs_state ON runs (repo_id, branch, state, id);

CREATE TABLE stage_runs (
    id          BIGINT PRIMARY KEY,
    run_id      BIGINT NOT NULL REFERENCES runs (id),
    stage       TEXT   NOT NULL,
    attempt     BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    exit_code   BIGINT NOT NULL DEFAULT 0,
    lease       TEXT   NOT NULL DEFAULT '',
    owner       TEXT   NOT NULL DEFAULT '',
    log_key     TEXT   NOT NULL DEFAULT '',
    tests       TEXT   NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    started_at  BIGINT NOT NULL DEFAULT 0,
    finished_at BIGINT NOT NULL DEFAULT 0,
    UNIQUE (run_id, stage, attempt)
);
CREATE INDEX stage_runs_state ON stage_runs (state, owner);

-- What a change shares with others is kept with its place in the queue: targets, one a line, size (the logarithm of its
-- changed lines, in thousandths), for how long its runs are expected to take, in microseconds, and the numbers of the
-- changes that its message says it depends on.
CREATE TABLE queue_entries (
    change_id   BIGINT PRIMARY KEY REFERENCES changes (id),
    repo_id     BIGINT NOT NULL REFERENCES repositories (id),
    branch      TEXT   NOT NULL,
    ps          BIGINT NOT NULL,
    enqueued_at BIGINT NOT NULL,
    enqueued_by BIGINT NOT NULL DEFAULT 0,
    targets     TEXT   NOT NULL DEFAULT '',
    barrier     BIGINT NOT NULL DEFAULT 1,
    size        BIGINT NOT NULL DEFAULT 0,
    takes       BIGINT NOT NULL DEFAULT 0,
    depends     TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX queue_entries_branch ON queue_entries (repo_id, branch, enqueued_at);

-- What the queue knows of a branch: the name of the queue that it shares ('' for its own), how many changes have landed
-- on it, where it pointed when it was last looked at, and by which plan the lanes of its entries were told.
CREATE TABLE queue_branches (
    repo_id BIGINT NOT NULL REFERENCES repositories (id),
    branch  TEXT   NOT NULL,
    queue   TEXT   NOT NULL DEFAULT '',
    seq     BIGINT NOT NULL DEFAULT 0,
    tip_oid TEXT   NOT NULL DEFAULT '',
    lanes   TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (repo_id, branch)
);
CREATE INDEX queue_branches_queue ON queue_branches (queue);

-- The patch set that the queue put out, and why. It comes back as another patch set, or when it is rechecked.
CREATE TABLE ejections (
    change_id    BIGINT PRIMARY KEY REFERENCES changes (id),
    ps           BIGINT NOT NULL,
    reason       TEXT   NOT NULL,
    words        TEXT   NOT NULL,
    candidate_id BIGINT NOT NULL DEFAULT 0,
    run_id       BIGINT NOT NULL DEFAULT 0,
    at           BIGINT NOT NULL
);

-- intent before the compare-and-swap, outcome after it; a restart finishes or withdraws an open intent. What lands in one
-- go, on however many branches, shares a group.
CREATE TABLE landings (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    change_id    BIGINT NOT NULL REFERENCES changes (id),
    ps           BIGINT NOT NULL,
    run_id       BIGINT NOT NULL DEFAULT 0,
    candidate_id BIGINT NOT NULL DEFAULT 0,
    group_id     BIGINT NOT NULL DEFAULT 0,
    seq          BIGINT NOT NULL DEFAULT 0,
    targets      TEXT   NOT NULL DEFAULT '',
    barrier      BIGINT NOT NULL DEFAULT 1,
    old_oid      TEXT   NOT NULL,
    new_oid      TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    reason       TEXT   NOT NULL DEFAULT '',
    landed_by    BIGINT NOT NULL DEFAULT 0,
    intent_at    BIGINT NOT NULL,
    outcome_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX landings_branch ON landings (repo_id, branch, id);
CREATE INDEX landings_seq ON landings (repo_id, branch, seq);
CREATE INDEX landings_group ON landings (group_id);
CREATE UNIQUE INDEX landings_once ON landings (change_id) WHERE state IN ('intent', 'landed');

-- +goose Down
DROP TABLE landings;
DROP TABLE ejections;
DROP TABLE queue_branches;
DROP TABLE queue_entries;
DROP TABLE stage_runs;
DROP TABLE runs;
DROP TABLE merges;
DROP TABLE candidate_changes;
DROP TABLE candidates;
DROP TABLE messages;
DROP TABLE comments;
DROP TABLE votes;
DROP TABLE reviewers;
DROP TABLE patch_set_parents;
DROP TABLE patch_sets;
DROP TABLE changes;
DROP TABLE events;
DROP TABLE mirrors;
DROP TABLE branch_rules;
DROP TABLE grants;
DROP TABLE repositories;
DROP TABLE group_members;
DROP TABLE account_groups;
DROP TABLE tokens;
DROP TABLE ssh_keys;
DROP TABLE accounts;
