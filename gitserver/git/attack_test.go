package git

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

// entry writes a tree record for mktree -z.
func entry(mode, kind string, oid OID, name string) string {
	return fmt.Sprintf("%s %s %s\t%s", mode, kind, oid, name)
}

// commitText is a commit object with headers between committer and message.
func commitText(tree OID, parents []OID, author, committer, extra string) string {
	s := "tree " + string(tree) + "\n"
	for _, p := range parents {
		s += "parent " + string(p) + "\n"
	}
	return s + "author " + author + "\ncommitter " + committer + "\n" + extra + "\nx\n"
}

const ann = "Ann <ann@example.test> 1700000000 +0100"

// attack is one hostile (or just unusual) push.
type attack struct {
	name string
	make func(w work, base OID) OID
	want fault.Kind // -1: accepted
	says string
}

const accepted fault.Kind = -1

// fileNamed adds one file of that name beside what base has.
func fileNamed(name string) func(work, OID) OID {
	return func(w work, base OID) OID {
		return w.commitTree(w.tree(entry("100644", "blob", w.blob("x"), name)), base)
	}
}

// linkTo adds a symbolic link dir/link.
func linkTo(target string) func(work, OID) OID {
	return func(w work, base OID) OID {
		sub := w.tree(entry("120000", "blob", w.blob(target), "link"))
		return w.commitTree(w.tree(entry("040000", "tree", sub, "dir")), base)
	}
}

func withModules(text string) func(work, OID) OID {
	return func(w work, base OID) OID {
		return w.commitTree(w.tree(entry("100644", "blob", w.blob(text), ".gitmodules")), base)
	}
}

func withHeader(extra string) func(work, OID) OID {
	return func(w work, base OID) OID {
		return w.raw("commit", commitText(EmptyTree, []OID{base}, ann, ann, extra))
	}
}

func withAuthor(ident string) func(work, OID) OID {
	return func(w work, base OID) OID {
		return w.raw("commit", commitText(EmptyTree, []OID{base}, ident, ann, ""))
	}
}

// nested is depth trees inside each other, and one file.
func nested(depth int, name string) func(work, OID) OID {
	return func(w work, base OID) OID {
		tree := w.tree(entry("100644", "blob", w.blob("x"), "file"))
		for range depth {
			tree = w.tree(entry("040000", "tree", tree, name))
		}
		return w.commitTree(tree, base)
	}
}

func nameAttacks() []attack {
	list := []attack{
		{"plain name", fileNamed("a file, with-signs_(1)+é.txt"), accepted, ""},
		{"emoji", fileNamed("\U0001F600.txt"), accepted, ""},
		{"too long", fileNamed(strings.Repeat("n", 256)), fault.Refused, "255 bytes"},
		{"longest", fileNamed(strings.Repeat("n", 255)), accepted, ""},
		{"not UTF-8", fileNamed("caf\xe9"), fault.Refused, "UTF-8"},
		{"path too long", nested(6, strings.Repeat("d", 200)), fault.Refused, "1024 bytes"},
		{"too deep", nested(MaxDepth+1, "d"), fault.Refused, "directories deep"},
		{"thousands deep", nested(600, "d"), fault.Refused, "directories deep"},
	}
	for _, n := range []string{"a\nb", "a\x1b[31m", "a\tb", "a\x7f", "a\u0085b", "a\u202eb", "a\u2066b", "a\u200bb", "a\u2028b", "\ufeffa", `a\b`, "a:b", "-rf",
		"CON", "con.txt", "Aux.c", "LPT9", "com1.tar.gz", "nul ", "a.", "a ", ".git", ".GIT", "git~1", ".g\u200cit", ".git.", ".git::$INDEX_ALLOCATION", ".git "} {
		list = append(list, attack{fmt.Sprintf("name %q", n), fileNamed(n), fault.Refused, ""})
	}
	return list
}

func linkAttacks() []attack {
	list := []attack{
		{"link beside", linkTo("other"), accepted, ""},
		{"link up", linkTo("../other/file"), accepted, ""},
		{"link to the top", linkTo(".."), accepted, ""},
		{"link too long", linkTo(strings.Repeat("a/", 2100)), fault.Refused, ""},
	}
	for _, target := range []string{"/etc/passwd", "../../x", "../..", "a/../../../x", "a/../b", ".git/config", "../.GIT/hooks/post-checkout", "git~1/x",
		"C:/x", `..\x`, "a\nb", "../.git", ".g\u200cit/x"} {
		list = append(list, attack{fmt.Sprintf("link to %q", target), linkTo(target), fault.Refused, "link"})
	}
	return list
}

func moduleAttacks() []attack {
	text := func(lines string) string {
		return "[submodule \"lib\"]\n\tpath = lib\n\turl = https://example.test/lib.git\n" + lines
	}
	list := []attack{
		{"modules", withModules(text("\tbranch = main\n\tshallow = true\n")), accepted, ""},
		{"modules relative", withModules("[submodule \"a\"]\n\tpath = a\n\turl = ../a.git\n"), accepted, ""},
		{"modules ssh", withModules("[submodule \"a\"]\n\tpath = a\n\turl = git@example.test:a.git\n"), accepted, ""},
		{"modules huge", withModules(text(strings.Repeat("# padding\n", 30_000))), fault.Refused, ".gitmodules"},
	}
	for _, lines := range []string{"\turl = ext::sh -c touch% /tmp/x\n", "\turl = file:///etc\n", "\turl = /srv/git/x.git\n", "\turl = -uhttps://x\n", "\turl = --upload-pack=x\n",
		"\turl = ssh://-oProxyCommand=x/y\n", "\turl = ssh://a@-oProxyCommand=x/y\n", "\turl = \"https://x/\\ny\"\n", "\tpath = \"lib\\r\"\n", "\tpath = ../x\n", "\tpath = /x\n", "\tpath = -x\n", "\tpath = .git/hooks\n",
		"\tupdate = !sh\n", "\tupdate = \"!sh\"\n", "\tfsmonitor = x\n", "[core]\n\tsshCommand = x\n", "[include]\n\tpath = /etc/passwd\n",
		"[submodule \"../x\"]\n\tpath = x\n", "[submodule \"a/../../x\"]\n\tpath = x\n", "[submodule\n"} {
		list = append(list, attack{fmt.Sprintf("modules %q", lines), withModules(text(lines)), fault.Refused, ""})
	}
	return list
}

func commitAttacks() []attack {
	soon := time.Now().Add(23 * time.Hour).Unix()
	late := time.Now().Add(25 * time.Hour).Unix()
	sig := "gpgsig -----BEGIN SSH SIGNATURE-----\n abc\n \n -----END SSH SIGNATURE-----\n"
	return []attack{
		{"known headers", withHeader("encoding ISO-8859-1\n" + sig + "change-id klmnopqrstuvwxyzklmnopqrstuvwxyz\nHG:extra x\n"), accepted, ""},
		{"unknown header", withHeader("x-hidden payload\n"), fault.Refused, "x-hidden"},
		{"two signatures", withHeader(sig + sig), fault.Refused, "gpgsig"},
		{"two encodings", withHeader("encoding UTF-8\nencoding UTF-7\n"), fault.Refused, "encoding"},
		{"escape in a header", withHeader("encoding \x1b[31m\n"), fault.Refused, "control"},
		{"many headers", withHeader(strings.Repeat("HG:x y\n", 40)), fault.Refused, "extra headers"},
		{"more merge tags than parents", withHeader(strings.Repeat("mergetag object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n type commit\n", 2)), fault.Refused, "mergetag"},
		{"author soon", withAuthor(fmt.Sprintf("Ann <ann@example.test> %d +0000", soon)), accepted, ""},
		{"author tomorrow", withAuthor(fmt.Sprintf("Ann <ann@example.test> %d +0000", late)), fault.Refused, "future"},
		{"author in the year 292 billion", withAuthor("Ann <ann@example.test> 9223372036854775000 +0000"), fault.Refused, ""},
		{"no name", withAuthor(" <ann@example.test> 1700000000 +0100"), fault.Refused, "name"},
		{"no address", withAuthor("Ann <> 1700000000 +0100"), fault.Refused, "address"},
		{"bidi name", withAuthor("An\u202en <ann@example.test> 1700000000 +0100"), fault.Refused, "reordering"},
		{"escape in the name", withAuthor("An\x1bn <ann@example.test> 1700000000 +0100"), fault.Refused, "control"},
		{"two authors", func(w work, base OID) OID {
			return w.raw("commit", commitText(EmptyTree, []OID{base}, ann+"\nauthor "+ann, ann, ""))
		}, -2, ""},
		{"NUL in the message", func(w work, base OID) OID {
			return w.raw("commit", commitText(EmptyTree, []OID{base}, ann, ann, "")+"\x00hidden")
		}, -2, ""},
		{"seventy parents", func(w work, base OID) OID {
			parents := []OID{base}
			for i := range 69 {
				parents = append(parents, w.raw("commit", commitText(EmptyTree, []OID{base}, ann, ann, "encoding e"+fmt.Sprint(i)+"\n")))
			}
			return w.raw("commit", commitText(EmptyTree, parents, ann, ann, ""))
		}, fault.Refused, "70 parents"},
		{"large message", func(w work, base OID) OID {
			return w.raw("commit", commitText(EmptyTree, []OID{base}, ann, ann, "")+strings.Repeat("m", MaxCommit))
		}, fault.TooLarge, "commit"},
		{"tag of a tree", func(w work, base OID) OID {
			return w.raw("tag", "object "+string(EmptyTree)+"\ntype tree\ntag t\ntagger "+ann+"\n\nx\n")
		}, fault.Refused, "not a commit"},
		{"tag", func(w work, base OID) OID {
			return w.raw("tag", "object "+string(base)+"\ntype commit\ntag t\ntagger "+ann+"\n\nx\n")
		}, accepted, ""},
		{"tag with a hidden header", func(w work, base OID) OID {
			return w.raw("tag", "object "+string(base)+"\ntype commit\ntag t\ntagger "+ann+"\nx-hidden y\n\nx\n")
		}, -2, ""},
		{"blob for a tip", func(w work, base OID) OID { return w.blob("tip") }, fault.Refused, "not a commit"},
	}
}

func treeAttacks() []attack {
	return []attack{
		{"case twins", func(w work, base OID) OID {
			b := w.blob("x")
			return w.commitTree(w.tree(entry("100644", "blob", b, "README"), entry("100644", "blob", b, "readme")), base)
		}, fault.Refused, "same"},
		{"normal form twins", func(w work, base OID) OID {
			b := w.blob("x")
			sub := w.tree(entry("100644", "blob", b, "e\u0301"), entry("100644", "blob", b, "\u00e9"))
			return w.commitTree(w.tree(entry("040000", "tree", sub, "dir")), base)
		}, fault.Refused, "same"},
		{"twins of a directory and a file", func(w work, base OID) OID {
			b := w.blob("x")
			sub := w.tree(entry("100644", "blob", b, "f"))
			return w.commitTree(w.tree(entry("040000", "tree", sub, "Dir"), entry("100644", "blob", b, "dir")), base)
		}, fault.Refused, "same"},
		{"twins from two parents", func(w work, base OID) OID {
			b := w.blob("x")
			p1 := w.commitTree(w.tree(entry("100644", "blob", b, "README")), base)
			p2 := w.commitTree(w.tree(entry("100644", "blob", b, "readme")), base)
			return w.commitTree(w.tree(entry("100644", "blob", b, "README"), entry("100644", "blob", b, "readme")), p1, p2)
		}, fault.Refused, "same"},
		{"bad name that only a merge adds", func(w work, base OID) OID {
			b := w.blob("x")
			p1 := w.commitTree(w.tree(entry("100644", "blob", b, "one")), base)
			p2 := w.commitTree(w.tree(entry("100644", "blob", b, "two")), base)
			return w.commitTree(w.tree(entry("100644", "blob", b, "a:b"), entry("100644", "blob", b, "one"), entry("100644", "blob", b, "two")), p1, p2)
		}, fault.Refused, "a:b"},
		{"bad name in an earlier commit", func(w work, base OID) OID {
			b := w.blob("x")
			p := w.commitTree(w.tree(entry("100644", "blob", b, "a:b")), base)
			return w.commitTree(EmptyTree, p)
		}, fault.Refused, "a:b"},
		{"submodule", func(w work, base OID) OID {
			return w.commitTree(w.tree(entry("160000", "commit", base, "lib")), base)
		}, fault.Refused, "submodule"},
		{"file that becomes a link out", func(w work, base OID) OID {
			return w.commitTree(w.tree(entry("120000", "blob", w.blob("/etc/passwd"), "keep")), base)
		}, fault.Refused, "absolute"},
		{"group-writable mode", func(w work, base OID) OID {
			raw := "100664 file\x00" + rawOID(w.blob("x"))
			return w.commitTree(w.raw("tree", raw), base)
		}, -2, ""},
		{"setuid mode", func(w work, base OID) OID {
			return w.commitTree(w.raw("tree", "104755 file\x00"+rawOID(w.blob("x"))), base)
		}, -2, ""},
		{"the same name twice", func(w work, base OID) OID {
			b := rawOID(w.blob("x"))
			return w.commitTree(w.raw("tree", "100644 f\x00"+b+"100644 f\x00"+b), base)
		}, -2, ""},
		{"unsorted", func(w work, base OID) OID {
			b := rawOID(w.blob("x"))
			return w.commitTree(w.raw("tree", "100644 b\x00"+b+"100644 a\x00"+b), base)
		}, -2, ""},
		{"slash in a name", func(w work, base OID) OID {
			return w.commitTree(w.raw("tree", "100644 a/b\x00"+rawOID(w.blob("x"))), base)
		}, -2, ""},
		{".gitmodules as a link", func(w work, base OID) OID {
			return w.commitTree(w.tree(entry("120000", "blob", w.blob("x"), ".gitmodules")), base)
		}, -2, ""},
		{".gitattributes as a link", func(w work, base OID) OID {
			return w.commitTree(w.tree(entry("120000", "blob", w.blob("x"), ".gitattributes")), base)
		}, -2, ""},
	}
}

// rawOID is the twenty bytes of an object name.
func rawOID(o OID) string {
	var b []byte
	for i := 0; i < len(o); i += 2 {
		var v byte
		if _, err := fmt.Sscanf(string(o[i:i+2]), "%02x", &v); err != nil {
			panic(err)
		}
		b = append(b, v)
	}
	return string(b)
}

// Each hostile push is refused with words that name the flaw, by git's checks (-2) or ours,
// and leaves nothing behind.
func TestAttacks(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"keep": "x\n"})
	all := append(append(append(append(nameAttacks(), linkAttacks()...), moduleAttacks()...), commitAttacks()...), treeAttacks()...)
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			w := work{t: t, dir: w.dir}
			tip := a.make(w, base)
			err := send(t, r, w, []OID{tip}, base)
			switch a.want {
			case accepted:
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
			case -2: // whoever sees it first
				if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Refused) {
					t.Fatalf("got %v, want a refusal", err)
				}
			default:
				// What git's own checks say at the door comes as Invalid.
				if !fault.Is(err, a.want) && (a.says != "" || !fault.Is(err, fault.Invalid)) {
					t.Fatalf("got %v, want %s", err, a.want)
				}
			}
			if err == nil {
				return
			}
			words := fault.Sentence(err)
			if !strings.Contains(words, a.says) {
				t.Errorf("%q does not say %q", words, a.says)
			}
			if strings.ContainsFunc(words, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0x202e || c == 0xfffd }) {
				t.Errorf("%q repeats hostile characters", words)
			}
			left, err := filepath.Glob(r.path("objects", quarantinePrefix+"*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// What a repository has already stays usable: only new entries are judged.
func TestOldContentIsNotJudged(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	x := w.blob("x")
	old := func(more ...string) OID {
		return w.tree(append([]string{entry("100644", "blob", x, "CON"), entry("100644", "blob", x, "README"), entry("120000", "blob", w.blob("/etc"), "abs"),
			entry("160000", "commit", OID(strings.Repeat("1", 40)), "lib"), entry("100644", "blob", x, "readme")}, more...)...)
	}
	base := w.commitTree(old())
	plant(t, r, w, base)
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", Zero, base}}, ""))

	next := w.commitTree(old(entry("100644", "blob", w.blob("new"), "x-new")), base)
	must(t, send(t, r, w, []OID{next}, base))
	worse := w.commitTree(old(entry("100644", "blob", x, "reaDMe")), base)
	wantKind(t, send(t, r, w, []OID{worse}, base), fault.Refused)
	moved := w.commitTree(w.tree(entry("040000", "tree", old(), "sub")), base)
	wantKind(t, send(t, r, w, []OID{moved}, base), fault.Refused)
}

// Twelve objects that unfold to ten thousand million paths are given up after the first million.
func TestTreeBombIsBounded(t *testing.T) {
	r, w, base := seeded(t, nil)
	bomb := func(w work) OID {
		records := func(mode, kind string, oid OID) (list []string) {
			for i := range 10 {
				list = append(list, entry(mode, kind, oid, fmt.Sprintf("d%d", i)))
			}
			return list
		}
		tree := w.tree(records("100644", "blob", w.blob("boom"))...)
		for range 9 {
			tree = w.tree(records("040000", "tree", tree)...)
		}
		return w.commitTree(tree, base)
	}
	err := send(t, r, w, []OID{bomb(w)}, base)
	wantKind(t, err, fault.TooLarge)
	if !strings.Contains(fault.Sentence(err), "1000000 paths") {
		t.Error(err)
	}
}

func TestBlobLimit(t *testing.T) {
	r, w, base := seeded(t, nil)
	tip := w.commit("big", map[string]string{"dir/big": strings.Repeat("0", 5000), "small": "x"})
	q, err := r.Quarantine(t.Context())
	must(t, err)
	defer discard(t, q)
	q.Policy.MaxBlob = 4999
	must(t, q.TakePack(t.Context(), bytes.NewReader(w.pack([]OID{tip}, []OID{base})), PackLimits{}, nil))
	err = q.Check(t.Context(), []OID{tip})
	wantKind(t, err, fault.TooLarge)
	if !strings.Contains(fault.Sentence(err), `"dir/big" has 5000 bytes`) {
		t.Error(err)
	}
}

func TestPolicyKnobs(t *testing.T) {
	r, w, base := seeded(t, nil)
	tip := w.commitTree(w.tree(entry("160000", "commit", base, "lib"), entry("120000", "blob", w.blob("/opt"), "out")), base)
	q, err := r.Quarantine(t.Context())
	must(t, err)
	defer discard(t, q)
	q.Policy.AllowGitlinks, q.Policy.AllowLinksOut = true, true
	must(t, q.TakePack(t.Context(), bytes.NewReader(w.pack([]OID{tip}, []OID{base})), PackLimits{}, nil))
	must(t, q.Check(t.Context(), []OID{tip}))
}

// A push whose objects do not connect to what is here is refused, whatever is missing.
func TestMissingObjects(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"a": "a\n"})
	lost := OID(strings.Repeat("12", 20))
	for name, tip := range map[string]OID{
		"blob":   w.commitTree(w.tree(entry("100644", "blob", lost, "f")), base),
		"tree":   w.raw("commit", commitText(lost, []OID{base}, ann, ann, "")),
		"parent": w.raw("commit", commitText(EmptyTree, []OID{lost}, ann, ann, "")),
		"tip":    lost,
	} {
		t.Run(name, func(t *testing.T) {
			q, err := r.Quarantine(t.Context())
			must(t, err)
			defer discard(t, q)
			in := ""
			if tip != lost {
				in = string(tip) + "\n"
				if tree := strings.Fields(w.git("cat-file", "commit", string(tip)))[1]; tree != string(lost) {
					in += tree + "\n"
				}
			}
			pack := []byte(w.inRaw(in, "pack-objects", "--stdout", "-q"))
			err = q.TakePack(t.Context(), bytes.NewReader(pack), PackLimits{}, nil)
			if err == nil {
				err = q.Check(t.Context(), []OID{tip})
			}
			if !fault.Is(err, fault.Refused) && !fault.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// A replacement ref that reached the disk somehow changes nothing that the server sees.
func TestReplaceRefsAreIgnored(t *testing.T) {
	r, w, good := seeded(t, map[string]string{"f": "harmless\n"})
	w.git("checkout", "-q", "--detach", string(good))
	evil := w.commit("evil", map[string]string{"f": "backdoor\n"})
	must(t, send(t, r, w, []OID{evil}, good))
	must(t, os.MkdirAll(r.path("refs", "replace"), 0o700))
	must(t, os.WriteFile(r.path("refs", "replace", string(evil)), []byte(good+"\n"), 0o600))
	text, err := r.FileAt(t.Context(), evil, "f", 100)
	if err != nil || string(text) != "backdoor\n" {
		t.Errorf("sees %q %v", text, err)
	}
	patch, err := r.DiffPatch(t.Context(), good, evil, DiffOptions{})
	if err != nil || !bytes.Contains(patch, []byte("+backdoor")) {
		t.Errorf("diff shows %q %v", patch, err)
	}
	wantKind(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/replace/" + "x", Zero, good}}, ""), fault.Refused)
	wantKind(t, r.Fsck(t.Context()), fault.Refused)
}
