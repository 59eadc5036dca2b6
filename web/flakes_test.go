package web

import (
	"strings"
	"testing"

	"gatehouse/gatekeeper"
)

// all is the words of everything that the selector finds.
func all(a answer, selector string) []string {
	var text []string
	for _, n := range a.find(selector) {
		text = append(text, wordsOf(n))
	}
	return text
}

func TestFlakesPage(t *testing.T) {
	w := showcase(t)
	bob := w.session("bob")
	page := bob.get("/team/hello/-/flakes")
	rows := all(page, "section[aria-labelledby=flakes-h] tbody tr")
	want := []string{
		"unit 5 in 212 runs 1 on the branch too 2.4 % 31",
		"example.test/hello.TestManyGreetingsAtTheSameTimeFromManyClients 4 in 212 runs 1 on the branch too 1.9 % 6",
		"example.test/hello.TestClock 1 in 212 runs 0.5 % 1",
		"build 0 in 180 runs 0.0 % 2 never",
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows: %q", len(rows), rows)
	}
	for i, row := range rows {
		if !strings.HasPrefix(row, want[i]) {
			t.Errorf("row %d: %q, want %q…", i, row, want[i])
		}
	}
	if link := attr(page.find("section[aria-labelledby=flakes-h] tbody a")[0], "href"); link != "/stage/11/log" {
		t.Errorf("the last flake's log: %q", link)
	}
	quarantined := all(page, "section[aria-labelledby=quarantine-h] tbody tr")
	if len(quarantined) != 2 || !strings.Contains(quarantined[0], "ends soon") || !strings.Contains(quarantined[0], "bob") || strings.Contains(quarantined[1], "soon") {
		t.Errorf("quarantines: %q", quarantined)
	}
	w.gate.flaky = gatekeeper.FlakeReport{}
	empty := bob.get("/team/hello/-/flakes")
	if got := empty.one("section[aria-labelledby=flakes-h] .empty strong"); got != "No stage has run lately" {
		t.Errorf("empty: %q", got)
	}
	if len(all(empty, "section[aria-labelledby=quarantine-h]")) != 0 {
		t.Error("a list of no quarantines")
	}
}
