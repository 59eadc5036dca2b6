package main

import (
	"io"
	"log/slog"
)

const logJSON = "json"

// newLog is the server's log as the settings ask for it.
func newLog(set Settings, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(set.LogLevel)); err != nil {
		level = slog.LevelInfo // the settings' enum leaves nothing else
	}
	options := &slog.HandlerOptions{Level: level}
	if set.LogForm == logJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// quietLog is for verbs on a data folder: only what is wrong.
func quietLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
