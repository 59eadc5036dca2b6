-- +goose Up
-- A row says that an answer by mail was taken: a mail server that is not sure sends it again.
CREATE TABLE mail_answers (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    change_id  BIGINT NOT NULL REFERENCES changes (id),
    digest     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, change_id, digest)
);

-- +goose Down
DROP TABLE mail_answers;
