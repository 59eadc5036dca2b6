-- +goose Up
-- The newest verdict that was worked out for a key: everything that a stage's result depends on. See docs/flakes.md.
CREATE TABLE stage_results (
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    result_key   TEXT   NOT NULL,
    stage        TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (repo_id, result_key)
);
CREATE INDEX stage_results_age ON stage_results (repo_id, created_at);

-- reused_from is the stage run that was executed for this one too, 0 for one that was itself.
ALTER TABLE stage_runs ADD COLUMN result_key TEXT NOT NULL DEFAULT '';
ALTER TABLE stage_runs ADD COLUMN reused_from BIGINT NOT NULL DEFAULT 0;
CREATE INDEX stage_runs_key ON stage_runs (result_key, state);
CREATE INDEX stage_runs_finished ON stage_runs (finished_at);
CREATE INDEX runs_repo ON runs (repo_id, id);

-- The tests that made stage runs fail.
CREATE TABLE test_failures (
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    test         TEXT   NOT NULL,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    stage        TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (stage_run_id, test)
);
CREATE INDEX test_failures_repo ON test_failures (repo_id, at);

-- Failures that were not the change's doing; test is '' for the stage as a whole.
CREATE TABLE flakes (
    id           BIGINT PRIMARY KEY,
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    branch       TEXT   NOT NULL,
    stage        TEXT   NOT NULL,
    test         TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    run_id       BIGINT NOT NULL REFERENCES runs (id),
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    at           BIGINT NOT NULL,
    UNIQUE (stage_run_id, test)
);
CREATE INDEX flakes_repo ON flakes (repo_id, at);

-- +goose Down
DROP TABLE flakes;
DROP TABLE test_failures;
DROP INDEX runs_repo;
DROP INDEX stage_runs_finished;
DROP INDEX stage_runs_key;
ALTER TABLE stage_runs DROP COLUMN reused_from;
ALTER TABLE stage_runs DROP COLUMN result_key;
DROP TABLE stage_results;
