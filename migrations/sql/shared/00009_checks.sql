-- +goose Up
-- What tools said about lines, in the commit that the stage run tested. A path is '' when there is none, a line 0 for the
-- file as a whole. position is the order in which they are shown.
CREATE TABLE annotations (
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    position     BIGINT NOT NULL,
    path         TEXT   NOT NULL,
    line         BIGINT NOT NULL,
    end_line     BIGINT NOT NULL,
    col          BIGINT NOT NULL,
    severity     TEXT   NOT NULL,
    tool         TEXT   NOT NULL,
    rule         TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    url          TEXT   NOT NULL,
    PRIMARY KEY (stage_run_id, position)
);

-- What a stage run reported beside its result. dropped is how many annotations were not kept, cover_run and cover_all how
-- many lines of all files have something to run and how many of them ran, notes what could not be read, one a line.
CREATE TABLE stage_reports (
    stage_run_id BIGINT PRIMARY KEY REFERENCES stage_runs (id),
    repo_id      BIGINT NOT NULL REFERENCES repositories (id),
    dropped      BIGINT NOT NULL DEFAULT 0,
    cover_run    BIGINT NOT NULL DEFAULT 0,
    cover_all    BIGINT NOT NULL DEFAULT 0,
    notes        TEXT   NOT NULL DEFAULT '',
    at           BIGINT NOT NULL
);
CREATE INDEX stage_reports_age ON stage_reports (repo_id, at);

-- Which lines of the files that a change touches were run: "3:7+ 8- 9~".
CREATE TABLE coverage (
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    path         TEXT   NOT NULL,
    marks        TEXT   NOT NULL,
    PRIMARY KEY (stage_run_id, path)
);

-- The tests that stages have reported, called as flakes are. The id is made of the rest.
CREATE TABLE tests (
    id      BIGINT PRIMARY KEY,
    repo_id BIGINT NOT NULL REFERENCES repositories (id),
    stage   TEXT   NOT NULL,
    test    TEXT   NOT NULL,
    package TEXT   NOT NULL
);
CREATE INDEX tests_test ON tests (repo_id, test);

-- How each test of a stage run ended; micros is how long it took, message the first words of a failure.
CREATE TABLE test_results (
    stage_run_id BIGINT NOT NULL REFERENCES stage_runs (id),
    test_id      BIGINT NOT NULL REFERENCES tests (id),
    position     BIGINT NOT NULL,
    status       TEXT   NOT NULL,
    micros       BIGINT NOT NULL,
    message      TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (stage_run_id, test_id)
);
CREATE INDEX test_results_test ON test_results (test_id, stage_run_id);

-- +goose Down
DROP TABLE test_results;
DROP TABLE tests;
DROP TABLE coverage;
DROP TABLE stage_reports;
DROP TABLE annotations;
