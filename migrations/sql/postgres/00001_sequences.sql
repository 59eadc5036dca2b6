-- +goose Up
CREATE SEQUENCE seq_row;
CREATE SEQUENCE seq_change;

-- +goose Down
DROP SEQUENCE seq_change;
DROP SEQUENCE seq_row;
