package assembly

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeCluster is an API server that keeps objects, and the controllers that roll them out.
type fakeCluster struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]object // by path
	looks   map[string]int    // at each, since it was applied
	next    int

	slow    int             // looks until a rollout is done
	stuck   bool            // rollouts never end
	refuse  map[string]int  // status for requests with this in "VERB path"
	foreign map[string]bool // paths with fields that others own
	seen    []string
}

func newFakeCluster(t *testing.T) *fakeCluster {
	t.Helper()
	f := &fakeCluster{objects: map[string]object{}, looks: map[string]int{}, slow: 2, refuse: map[string]int{}, foreign: map[string]bool{}}
	f.Server = httptest.NewTLSServer(f) // client-go sends no credentials in the clear
	t.Cleanup(f.Close)
	return f
}

func (f *fakeCluster) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for path := range maps.Keys(f.objects) {
		names = append(names, path[strings.LastIndex(path[:strings.LastIndex(path, "/")], "/")+1:])
	}
	slices.Sort(names)
	return names
}

func (f *fakeCluster) say(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "message": message, "code": status})
}

// ServeHTTP is the API, as far as it is used.
func (f *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer cluster-token" {
		f.say(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	path := r.URL.Path
	f.seen = append(f.seen, r.Method+" "+r.URL.RequestURI())
	for part, status := range f.refuse {
		if strings.Contains(r.Method+" "+path, part) {
			f.say(w, status, "the test says no")
			return
		}
	}
	there, exists := f.objects[path]
	switch {
	case r.Method == http.MethodPatch:
		f.patch(w, r, there)
	case r.Method == http.MethodGet && r.URL.Query().Has("labelSelector"):
		label, value, _ := strings.Cut(r.URL.Query().Get("labelSelector"), "=")
		items := []object{}
		for at, o := range f.objects {
			if strings.HasPrefix(at, path+"/") && o.label(label) == value {
				items = append(items, o)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
	case !exists:
		f.say(w, http.StatusNotFound, "not found")
	case r.Method == http.MethodGet:
		f.roll(path, there)
		_ = json.NewEncoder(w).Encode(there)
	case r.Method == http.MethodDelete:
		var options struct {
			Preconditions struct{ UID, ResourceVersion string }
		}
		_ = json.NewDecoder(r.Body).Decode(&options)
		if options.Preconditions.UID != there.meta("uid") || options.Preconditions.ResourceVersion != there.meta("resourceVersion") {
			f.say(w, http.StatusConflict, "another uid or version")
			return
		}
		delete(f.objects, path)
		f.say(w, http.StatusOK, "deleted")
	default:
		f.say(w, http.StatusMethodNotAllowed, r.Method)
	}
}

// patch is a server-side apply.
func (f *fakeCluster) patch(w http.ResponseWriter, r *http.Request, there object) {
	var o object
	err := json.NewDecoder(r.Body).Decode(&o)
	switch {
	case r.Header.Get("Content-Type") != "application/apply-patch+yaml" || r.URL.Query().Get("fieldManager") != "gatehouse" || err != nil:
		f.say(w, http.StatusUnsupportedMediaType, "no apply")
		return
	case f.foreign[r.URL.Path]:
		f.say(w, http.StatusConflict, `Apply failed with 1 conflict: conflict with "autoscaler": .spec.replicas`)
		return
	case !strings.HasSuffix(r.URL.Path, "/"+o.meta("name")):
		f.say(w, http.StatusBadRequest, "the name of the object does not match the name on the URL")
		return
	}
	if r.URL.Query().Get("dryRun") == "All" {
		_ = json.NewEncoder(w).Encode(o)
		return
	}
	meta := o.sub("metadata")
	meta["managedFields"] = []any{map[string]any{"manager": "gatehouse", "operation": "Apply", "fieldsV1": fieldsOf(map[string]any(o))}}
	meta["uid"], meta["generation"], meta["resourceVersion"] = fmt.Sprint("uid-", f.next), float64(1), fmt.Sprint(f.next)
	f.next++
	if there != nil {
		meta["uid"], meta["generation"] = there.meta("uid"), number(there.sub("metadata"), "generation", 0)+1
		o["status"] = there["status"]
	}
	f.objects[r.URL.Path], f.looks[r.URL.Path] = o, 0
	_ = json.NewEncoder(w).Encode(o)
}

// fieldsOf are the fields of what was applied. The fake knows of no keys of lists.
func fieldsOf(v any) map[string]any {
	fields := map[string]any{}
	if m, ok := v.(map[string]any); ok {
		for name, below := range m {
			if name != "apiVersion" && name != "kind" && name != "name" {
				fields["f:"+name] = fieldsOf(below)
			}
		}
	}
	return fields
}

// roll is what the controllers do meanwhile.
func (f *fakeCluster) roll(path string, o object) {
	f.looks[path]++
	want := number(o.sub("spec"), "replicas", 1)
	status := map[string]any{"observedGeneration": o.sub("metadata")["generation"], "replicas": want, "updatedReplicas": want}
	switch {
	case o.id().Kind != "Deployment" && o.id().Kind != "StatefulSet" || f.looks[path] == 1 && f.slow > 0:
		return
	case f.stuck:
		status["conditions"] = []any{map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet has timed out progressing."}}
	case f.looks[path] > f.slow:
		status["availableReplicas"], status["readyReplicas"] = want, want
	}
	o["status"] = status
}
