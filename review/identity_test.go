package review_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

const (
	idA = "Iaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "Ibbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestFindKey(t *testing.T) {
	jj := map[string][]string{"change-id": {"qpvuntsmwlqtpsluzzsnyyzlmlwvmlnu"}}
	const jjKey = "I9a45c67d3e96a7e5007c110ede34dec56a6a6964"
	const at = "commit 0123456789: "
	for _, test := range []struct {
		name, message string
		headers       map[string][]string
		key, refusal  string
	}{
		{name: "footer", message: "Add a\n\nText.\n\nChange-Id: " + idA + "\n", key: idA},
		{name: "among trailers", message: "Add a\n\nBug: 1\nChange-Id: " + idA + "\nSigned-off-by: A <a@x>\n", key: idA},
		{name: "upper-case digits", message: "Add a\n\nChange-Id: I" + strings.Repeat("AB", 20), key: "I" + strings.Repeat("AB", 20)},
		{name: "another case of the word", message: "Add a\n\nchange-id: " + idA, key: idA},
		{name: "carriage returns", message: "Add a\r\n\r\nChange-Id: " + idA + "\r\n", key: idA},
		{name: "leading empty lines", message: "\n\nAdd a\n\nChange-Id: " + idA + "\n", key: idA},
		{name: "link", message: "Add a\n\nLink: https://gate.example/id/" + idA + "\n", key: idA},
		{name: "footer wins over link", message: "Add a\n\nLink: https://gate.example/id/" + idB + "\nChange-Id: " + idA + "\n", key: idA},
		{name: "the same link twice", message: "Add a\n\nLink: https://a.example/id/" + idA + "\nLink: https://b.example/id/" + idA + "\n", key: idA},
		{name: "jj header", message: "Add a\n", headers: jj, key: jjKey},
		{name: "footer wins over jj", message: "Add a\n\nChange-Id: " + idA + "\n", headers: jj, key: idA},
		{name: "jj header and text about ids", message: "Add a\n\nChange-Id: x\n\nText.\n", headers: jj, key: jjKey},
		{name: "none", message: "Add a\n", refusal: at + "missing Change-Id in message footer"},
		{name: "another link", message: "Add a\n\nLink: https://lists.example/12\n", refusal: at + "missing Change-Id in message footer"},
		{name: "odd jj header", message: "Add a\n", headers: map[string][]string{"change-id": {"abc"}}, refusal: at + "missing Change-Id in message footer"},
		{name: "two jj headers", message: "Add a\n", headers: map[string][]string{"change-id": {jj["change-id"][0], jj["change-id"][0]}}, refusal: at + "missing Change-Id in message footer"},
		{name: "continued line", message: "Add a\n\nNote: x\n Change-Id: " + idA + "\n", refusal: at + "missing Change-Id in message footer"},
		{name: "not in footer", message: "Add a\n\nChange-Id: " + idA + "\n\nText.\n", refusal: at + "Change-Id must be in message footer"},
		{name: "in the subject's paragraph", message: "Add a\nChange-Id: " + idA + "\n", refusal: at + "Change-Id must be in message footer"},
		{name: "only a Change-Id", message: "Change-Id: " + idA + "\n", refusal: at + "missing subject; Change-Id must be in message footer"},
		{name: "two", message: "Add a\n\nChange-Id: " + idA + "\nChange-Id: " + idB + "\n", refusal: at + "multiple Change-Id lines in message footer"},
		{name: "two the same", message: "Add a\n\nChange-Id: " + idA + "\nChange-Id: " + idA + "\n", refusal: at + "multiple Change-Id lines in message footer"},
		{name: "two links", message: "Add a\n\nLink: https://a.example/id/" + idA + "\nLink: https://a.example/id/" + idB + "\n", refusal: at + "multiple Change-Id lines in message footer"},
		{name: "empty", message: "Add a\n\nChange-Id:\n", refusal: at + "invalid Change-Id line format in message footer"},
		{name: "no I", message: "Add a\n\nChange-Id: 12345\n", refusal: at + "invalid Change-Id line format in message footer"},
		{name: "zeros", message: "Add a\n\nChange-Id: I" + strings.Repeat("0", 40), refusal: at + "invalid Change-Id line format in message footer"},
		{name: "short", message: "Add a\n\nChange-Id: I12345\n", refusal: at + "invalid Change-Id"},
		{name: "long", message: "Add a\n\nChange-Id: " + idA + "a\n", refusal: at + "invalid Change-Id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := review.FindKey(git.Commit{OID: "0123456789012345678901234567890123456789", Message: test.message, ExtraHeaders: test.headers})
			said, _ := fault.Public(err)
			if err == nil {
				said = ""
			}
			if string(key) != test.key || said != test.refusal {
				t.Errorf("got %q, %q; want %q, %q", key, said, test.key, test.refusal)
			}
			if err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("kind %v", fault.KindOf(err))
			}
		})
	}
}

// Whatever a message holds, a key has the form of one, and the message alone decides.
func TestFindKeyTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"", "Add", "Change-Id: " + idA, "change-id:", "Link: https://x/id/" + idB, " Change-Id: " + idA, "Bug: 1", "\r", "\xff"})
		message := strings.Join(rapid.SliceOf(line).Draw(t, "lines"), "\n")
		key, err := review.FindKey(git.Commit{OID: "0123456789012345678901234567890123456789", Message: message})
		if (err == nil) == (key == "") {
			t.Fatalf("key %q and error %v", key, err)
		}
		if err == nil && string(key) != idA && string(key) != idB {
			t.Fatalf("key %q out of %q", key, message)
		}
	})
}
