package plan

import (
	_ "embed"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of plan files, for editors. It knows every key that
// [Parse] knows and no other. What it accepts can still have problems: only Parse looks at how
// the parts go together.
func Schema() []byte { return slices.Clone(schema) }
