package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/gitserver/fault"
)

// databaseFile says in a data folder which kind of database its server uses. A verb or a
// server that is not told of the database would otherwise open a new, empty one beside it.
// Only the kind is kept: an address may change, and may hold a password.
const databaseFile = "database"

// The kinds of database that a data folder knows.
const (
	inFolder   = "sqlite"      // gate.db in the folder itself
	inFile     = "sqlite-file" // another SQLite file
	inPostgres = "postgres"
)

// databaseKind is the kind of database that the settings mean.
func (s Settings) databaseKind() (string, error) {
	file, ok := strings.CutPrefix(s.databaseDSN(), "sqlite:")
	if !ok {
		return inPostgres, nil
	}
	named, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("gate: database: %w", err)
	}
	own, err := filepath.Abs(s.folder(ownDatabase))
	if err != nil {
		return "", fmt.Errorf("gate: database: %w", err)
	}
	if named == own {
		return inFolder, nil
	}
	return inFile, nil
}

// checkDatabase refuses settings that mean another kind of database than the folder's server uses.
func (s Settings) checkDatabase() error {
	const op, give = "gate.database", "give --database or set GATE_DATABASE"
	text, err := os.ReadFile(s.folder(databaseFile))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fault.Newf(fault.Invalid, op, "it cannot be read which database the folder's server uses: %v", err)
	}
	kind, err := s.databaseKind()
	if err != nil {
		return err
	}
	switch kept := strings.TrimSpace(string(text)); kept {
	case kind:
		return nil
	case inPostgres:
		return fault.New(fault.Refused, op, "this folder's server keeps its data in PostgreSQL", give)
	case inFile:
		return fault.New(fault.Refused, op, "this folder's server keeps its data in a SQLite file elsewhere", give)
	case inFolder:
		return fault.New(fault.Refused, op, "this folder's server keeps its data in "+s.folder(ownDatabase),
			"leave --database and GATE_DATABASE out, or give another database a folder of its own")
	default:
		return fault.Newf(fault.Invalid, op, "%s says %q, which is no kind of database", s.folder(databaseFile), kept)
	}
}

// keepDatabase writes down which kind of database the folder uses, the first time that it has one.
func (s Settings) keepDatabase() error {
	if _, err := os.Stat(s.folder(databaseFile)); !os.IsNotExist(err) {
		return err
	}
	kind, err := s.databaseKind()
	if err != nil {
		return err
	}
	return writeWhole(s.folder(databaseFile), []byte(kind+"\n"))
}
