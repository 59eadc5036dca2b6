package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gatehouse/review"
	"gatehouse/web/api"
)

// A file that was marked as viewed is so in the list of files, for whoever marked it alone.
func TestViewedFiles(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("public", false))
	at := "/api/v1/changes/" + itoa(c.ID)
	files := func(who string) []api.File {
		var all struct{ Items []api.File }
		must(t, json.Unmarshal(w.ask(who, http.MethodGet, at+"/files", nil).Body.Bytes(), &all))
		return all.Items
	}
	viewed := func(who string) string {
		var marked []string
		for _, f := range files(who) {
			if f.Viewed {
				marked = append(marked, f.Path)
			}
		}
		return strings.Join(marked, " ")
	}
	path := files("reader")[0].Path
	set := func(path string, on bool) int {
		return w.ask("reader", http.MethodPut, at+"/viewed", api.ViewedFile{Path: path, Viewed: on}).Code
	}
	if got := set(path, true); got != http.StatusNoContent {
		t.Fatalf("status %d", got)
	}
	if got := viewed("reader"); got != path {
		t.Errorf("viewed %q", got)
	}
	if got := viewed("author") + viewed(""); got != "" {
		t.Errorf("others see the mark: %q", got)
	}
	if got := set(review.CommitMessage, true); got != http.StatusNoContent {
		t.Errorf("the commit message: status %d", got)
	}
	if got := set("none", true); got != http.StatusNotFound {
		t.Errorf("a file that is not there: status %d", got)
	}
	set(path, false)
	if got := viewed("reader"); got != "" {
		t.Errorf("after taking it back %q", got)
	}
}
