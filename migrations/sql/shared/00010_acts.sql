-- +goose Up
-- A private change is seen by its owner, its reviewers and administrators only. reverts is the change that a change takes
-- back, picked_from the change that it was picked from for another branch, each 0 for none.
ALTER TABLE changes ADD COLUMN private BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN reverts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN picked_from BIGINT NOT NULL DEFAULT 0;
CREATE INDEX changes_private ON changes (repo_id, private);

-- Words that people tie to a change, without the #.
CREATE TABLE hashtags (
    change_id BIGINT NOT NULL REFERENCES changes (id),
    tag       TEXT   NOT NULL,
    PRIMARY KEY (change_id, tag)
);
CREATE INDEX hashtags_tag ON hashtags (tag);

-- +goose Down
DROP TABLE hashtags;
DROP INDEX changes_private;
ALTER TABLE changes DROP COLUMN picked_from;
ALTER TABLE changes DROP COLUMN reverts;
ALTER TABLE changes DROP COLUMN private;
