-- +goose Up
-- The time machine looks for the last snapshot before a moment, and for the landings of a day.
CREATE INDEX events_kind ON events (repo_id, kind, at);

-- +goose Down
DROP INDEX events_kind;
