package git

import (
	"testing"

	"go.uber.org/goleak"
)

// Every goroutine ends with what it was started for.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
