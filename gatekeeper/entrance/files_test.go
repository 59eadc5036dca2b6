package entrance_test

import (
	"os"
	"testing"
)

func writeHook(name, text string) error { return os.WriteFile(name, []byte(text), 0o755) } //nolint:gosec // a hook has to be run

func removeFile(name string) error { return os.Remove(name) }

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}
