package web

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// The benchmarks of the pages, as `make bench-web` prints them: how long the server takes,
// the 95th percentile of it beside the mean, and the bytes that a browser gets. They measure
// and judge nothing: what is slow on one machine is not on another.

// The sizes of what is measured.
const (
	benchFiles   = 4_600   // as many files as git/git has
	benchCommits = 300     // of history; none of the pages measured walks it
	benchChanges = 100_000 // in the list
)

// report prints what b.Loop does not: the 95th percentile, the bytes of the page, and those of
// the script and the style that come with it once.
func report(b *testing.B, times []time.Duration, size int) {
	b.Helper()
	slices.Sort(times)
	if len(times) > 0 {
		b.ReportMetric(float64(times[(len(times)*95+99)/100-1].Microseconds())/1000, "p95-ms")
	}
	assets, err := readAssets()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size), "html-bytes")
	b.ReportMetric(float64(len(assets["gate.js"])), "script-bytes")
	b.ReportMetric(float64(len(assets["gate.css"])), "style-bytes")
}

// bench asks for a page again and again; with cold it forgets before what was read of git.
func (w *world) bench(b *testing.B, c *client, path string, cold bool) {
	b.Helper()
	var times []time.Duration
	size := 0
	c.get(path).ok(200)
	began := spentSoFar(b)
	for b.Loop() {
		if cold {
			w.web.colors, w.web.diffs = lru[source]{most: maxColorCache}, newDiffCache()
		}
		begin := time.Now()
		size = len(c.get(path).ok(200).body)
		times = append(times, time.Since(begin))
	}
	spentSoFar(b).since(began).report(b)
	w.besideGit(b, path, times)
	report(b, times, size)
}

// large is a repository of the size of git/git with a change of 2,000 lines in one file, and
// one of a thousand files.
func large(b *testing.B) (*world, repo.Repository) {
	b.Helper()
	w := newWorld(b)
	code := func(i int, word string, n int) string {
		var text strings.Builder
		text.WriteString("package main\n\nimport \"fmt\"\n")
		for k := range n {
			fmt.Fprintf(&text, "\n// f%dx%d says %s.\nfunc f%dx%d(a int) string { return fmt.Sprint(a, %q) }\n", i, k, word, i, k, word)
		}
		return text.String()
	}
	files := map[string]string{"big.go": code(0, "old", 700)}
	for i := range benchFiles {
		files[fmt.Sprintf("dir%02d/sub%02d/file%04d.go", i%40, i%7, i)] = code(i, "old", 8+i%24)
	}
	r := w.repo("large", "alice", false, files)
	w.git("config", "gc.auto", "0") // nothing of git's goes on when the benchmark has ended
	for i := range benchCommits {
		w.commit("alice", fmt.Sprintf("Change %d", i), map[string]string{fmt.Sprintf("dir%02d/log.txt", i%40): fmt.Sprintf("%d\n", i)})
	}
	w.git("push", "-q", w.dir(r), "HEAD:refs/heads/main")
	base := w.git("rev-parse", "HEAD")
	small := map[string]string{}
	for i := range 8 {
		small[fmt.Sprintf("dir%02d/sub%02d/file%04d.go", i, i%7, i)] = strings.Replace(code(i, "old", 8+i%24), "f"+fmt.Sprint(i)+"x3", "renamed", -1)
	}
	w.commit("alice", "An ordinary change\n\n"+changeID(1), small)
	w.propose(r, "alice", review.PushOptions{})
	w.git("checkout", "-q", base)
	w.commit("alice", "Change it all\n\n"+changeID(2), map[string]string{"big.go": code(0, "new", 700)})
	w.propose(r, "alice", review.PushOptions{})
	w.git("checkout", "-q", base)
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprintf("dir%02d/sub%02d/file%04d.go", i%40, i%7, i)] = code(i, "new", 8+i%24)
	}
	w.commit("alice", "Change a thousand files\n\n"+changeID(3), many)
	w.propose(r, "alice", review.PushOptions{})
	return w, r
}

// BenchmarkPages makes the pages of changes in a repository of the size of git/git: as they
// are asked for again (warm), and with nothing remembered of git (cold). GATE_BENCH_REPO names
// a real repository to take instead; its last landed commit is the change.
func BenchmarkPages(b *testing.B) {
	w, _ := large(b)
	for _, page := range []struct{ name, path string }{
		{"change", "/c/1"}, {"change-2000-lines", "/c/2?file=big.go&diff=split"}, {"change-2000-lines-unified", "/c/2?file=big.go&diff=unified"},
		{"change-1000-files", "/c/3"}, {"file-of-1000", "/c/3/file?file=" + "dir39/sub05/file0999.go"}, {"dashboard", "/"}, {"file", "/large/-/file/main/big.go"},
	} {
		for _, cold := range []bool{false, true} {
			b.Run(page.name+"/"+pick(cold, "cold", "warm"), func(b *testing.B) { w.bench(b, w.session("bob"), page.path, cold) })
		}
	}
}

// BenchmarkRealRepository shows commits of the repository that GATE_BENCH_REPO names, such as
// a clone of git/git.
func BenchmarkRealRepository(b *testing.B) {
	from := os.Getenv("GATE_BENCH_REPO")
	if from == "" {
		b.Skip("set GATE_BENCH_REPO to a repository to measure it")
	}
	w := newWorld(b)
	r := w.repo("real", "alice", false, nil)
	w.clone("real")
	path, err := filepath.Abs(from)
	w.must(err)
	w.git("fetch", "-q", path, "HEAD")
	w.git("checkout", "-q", "--detach", "FETCH_HEAD")
	w.git("push", "-q", w.dir(r), "HEAD~1:refs/heads/main", "HEAD:refs/incoming/test")
	w.git("commit", "-q", "--amend", "--allow-empty", "-m", "Real\n\n"+changeID(1))
	held := w.propose(r, "alice", review.PushOptions{})
	at := fmt.Sprintf("/c/%d", held[0].Change.ID)
	for _, cold := range []bool{false, true} {
		b.Run(pick(cold, "cold", "warm"), func(b *testing.B) { w.bench(b, w.session("bob"), at, cold) })
	}
}

// BenchmarkLists lists fifty of a hundred thousand changes.
func BenchmarkLists(b *testing.B) {
	w, _ := hello(b)
	w.manyChanges(b, benchChanges)
	for _, page := range []struct{ name, path string }{{"list", "/hello/-/changes"}, {"list-mine", "/hello/-/changes?owner=alice"}, {"dashboard", "/"}} {
		b.Run(page.name, func(b *testing.B) { w.bench(b, w.session("bob"), page.path, false) })
	}
}

// manyChanges puts rows of changes beside the first one, as pushes would have.
func (w *world) manyChanges(b *testing.B, n int) {
	b.Helper()
	ctx := context.Background()
	const batch = 5_000
	columns, err := columnsOf(ctx, w.web.DB, "changes")
	w.must(err)
	sets, err := columnsOf(ctx, w.web.DB, "patch_sets")
	w.must(err)
	for from := 0; from < n; from += batch {
		w.transact(func(tx *db.Tx) error {
			for i := from; i < min(from+batch, n); i++ {
				id := fmt.Sprint(1_000_000 + i)
				change := replaced(columns, map[string]string{"id": id, "change_key": "'k" + id + "'", "subject": "'Change number " + id + "'",
					"updated_at": "updated_at - " + fmt.Sprint(n-i), "status": pick(i%20 == 0, "'open'", "'landed'")})
				set := replaced(sets, map[string]string{"change_id": id, "commit_oid": "'" + fmt.Sprintf("%040x", i) + "'"})
				for _, statement := range []string{
					"INSERT INTO changes (" + strings.Join(columns, ", ") + ") SELECT " + change + " FROM changes WHERE id = 1",
					"INSERT INTO patch_sets (" + strings.Join(sets, ", ") + ") SELECT " + set + " FROM patch_sets WHERE change_id = 1 AND number = 1",
				} {
					if _, err := tx.ExecContext(ctx, statement); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

func columnsOf(ctx context.Context, d *db.DB, table string) ([]string, error) {
	rows, err := d.Read().QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return rows.Columns()
}

func replaced(columns []string, values map[string]string) string {
	out := slices.Clone(columns)
	for i, c := range out {
		if v, ok := values[c]; ok {
			out[i] = v
		}
	}
	return strings.Join(out, ", ")
}
