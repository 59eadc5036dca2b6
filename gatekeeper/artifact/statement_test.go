package artifact

import (
	"strings"
	"testing"
	"time"
)

func TestStatement(t *testing.T) {
	d := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	p := Provenance{
		Builder: "https://gate.example.test", Repository: "https://gate.example.test/hello", Commit: "c0ffee", Tree: "7ree", Stage: "build <1>", Plan: d("9"),
		StageRun: 42, Started: at, Finished: at.Add(time.Minute), Materials: []Material{{"web", d("c")}, {"api", d("b")}},
	}
	got, err := Statement([]Artifact{{Name: "server", Digest: d("2")}, {Name: "cli", Digest: d("1")}}, p)
	must(t, err)
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"cli","digest":{"sha256":"` + strings.Repeat("1", 64) +
		`"}},{"name":"server","digest":{"sha256":"` + strings.Repeat("2", 64) + `"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{` +
		`"buildDefinition":{"buildType":"urn:gatehouse:provenance:stage:v1","externalParameters":{"commit":"c0ffee",` +
		`"repository":"https://gate.example.test/hello","stage":"build <1>"},"internalParameters":{"plan":"` + d("9") + `"},"resolvedDependencies":[` +
		`{"uri":"https://gate.example.test/hello","digest":{"gitCommit":"c0ffee","gitTree":"7ree"}},` +
		`{"uri":"api","digest":{"sha256":"` + strings.Repeat("b", 64) + `"}},{"uri":"web","digest":{"sha256":"` + strings.Repeat("c", 64) + `"}}]},` +
		`"runDetails":{"builder":{"id":"https://gate.example.test"},"metadata":{"finishedOn":"2026-01-02T02:05:05Z","invocationId":"42","startedOn":"2026-01-02T02:04:05Z"}}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Materials[0], p.Materials[1] = p.Materials[1], p.Materials[0]
	again, err := Statement([]Artifact{{Name: "cli", Digest: d("1")}, {Name: "server", Digest: d("2")}}, p)
	must(t, err)
	if string(again) != string(got) {
		t.Errorf("in another order: %s", again)
	}
	for name, subjects := range map[string][]Artifact{"none": nil, "no name": {{Digest: d("1")}}, "no digest": {{Name: "a"}}} {
		if s, err := Statement(subjects, p); err == nil {
			t.Errorf("%s: %s", name, s)
		}
	}
	p.Builder = ""
	if s, err := Statement([]Artifact{{Name: "cli", Digest: d("1")}}, p); err == nil {
		t.Errorf("by nobody: %s", s)
	}
}
