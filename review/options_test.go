package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

func TestParseOptions(t *testing.T) {
	for _, test := range []struct {
		ref    string
		opts   []string
		branch string
		want   review.PushOptions
	}{
		{ref: "refs/for/main", branch: "main"},
		{ref: "refs/for/refs/heads/main", branch: "main"},
		{ref: "refs/for/release/1.x%topic=feature/x,wip", branch: "release/1.x", want: review.PushOptions{Topic: "feature/x", WIP: true}},
		{ref: "refs/for/main%work-in-progress", branch: "main", want: review.PushOptions{WIP: true}},
		{ref: "refs/for/main", opts: []string{"ready", "submit", "wait", "topic=t"}, branch: "main", want: review.PushOptions{Topic: "t", Ready: true, Submit: true, Wait: true}},
		{ref: "refs/for/main%r=a@b.c,reviewer=bob,cc=carol,ready,notify=NONE", branch: "main",
			want: review.PushOptions{Ready: true, Reviewers: []string{"a@b.c", "bob"}, CC: []string{"carol"}, Notify: "none"}},
		{ref: "refs/for/main%notify=OWNER_REVIEWERS", branch: "main", want: review.PushOptions{Notify: "reviewers"}},
		{ref: "refs/for/main", opts: []string{"notify=owner"}, branch: "main", want: review.PushOptions{Notify: "owner"}},
		{ref: "refs/for/main%notify=NONE", opts: []string{"notify=all"}, branch: "main"},
		{ref: "refs/for/main%m=fix_the+thing%2C_now", branch: "main", want: review.PushOptions{Message: "fix the thing, now"}},
		{ref: "refs/for/main", opts: []string{"message=keep_this+and %41"}, branch: "main", want: review.PushOptions{Message: "keep_this+and %41"}},
		{ref: "refs/for/main%l=Code-Review", branch: "main", want: review.PushOptions{Votes: map[string]int{"Code-Review": 1}}},
		{ref: "refs/for/main%l=Code-Review+2,label=Verified-1", branch: "main", want: review.PushOptions{Votes: map[string]int{"Code-Review": 2, "Verified": -1}}},
		{ref: "refs/for/main", opts: []string{"label=Code-Review=2", "label=Verified=-1"}, branch: "main", want: review.PushOptions{Votes: map[string]int{"Code-Review": 2, "Verified": -1}}},
		{ref: "refs/for/main%private,t=a,hashtag=#b", opts: []string{"t=c", "hashtag=a"}, branch: "main", want: review.PushOptions{Private: true, Hashtags: []string{"a", "b", "c"}}},
		{ref: "refs/for/main%publish-comments", branch: "main", want: review.PushOptions{Drafts: true}},
		{ref: "refs/for/main", opts: []string{"remove-private"}, branch: "main", want: review.PushOptions{RemovePrivate: true}},
	} {
		t.Run(test.ref+" "+strings.Join(test.opts, " "), func(t *testing.T) {
			branch, got, err := review.ParseOptions(test.ref, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(review.PushOptions{})); branch != test.branch || d != "" {
				t.Errorf("branch %q, want %q; %s", branch, test.branch, d)
			}
		})
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	if _, _, err := review.ParseOptions("refs/for/main%notify=friends", nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "friends") {
		t.Errorf("notify=friends: %v", err)
	}
	many := make([]string, 33)
	for i := range many {
		many[i] = "wip"
	}
	for _, test := range []struct {
		ref    string
		opts   []string
		kind   fault.Kind
		public string
		next   string // a part of it
	}{
		{"refs/heads/main", nil, fault.Invalid, `"refs/heads/main" is not below refs/for/`, "refs/for/BRANCH"},
		{"refs/for/", nil, fault.Invalid, "refs/for/ needs a branch", "refs/for/BRANCH"},
		{"refs/for/%wip", nil, fault.Invalid, "refs/for/ needs a branch", "refs/for/BRANCH"},
		{"refs/for/main%secret", nil, fault.Invalid, `push option "secret" is not known`, "\n  topic=NAME: "},
		{"refs/for/main%private=1", nil, fault.Invalid, "push option private takes no value", ""},
		{"refs/for/main%t=#", nil, fault.Invalid, `"" cannot be a hashtag`, "one word"},
		{"refs/for/main", []string{"Topic=x"}, fault.Invalid, `push option "Topic" is not known`, "wip, work-in-progress"},
		{"refs/for/main%help", nil, fault.Invalid, "see help", "known push options:\n"},
		{"refs/for/main%wip,ready", nil, fault.Invalid, "push options wip and ready exclude each other", "one of them"},
		{"refs/for/main%wip,submit", nil, fault.Invalid, "a change that is work in progress does not land", "leave out wip"},
		{"refs/for/main%wip=1", nil, fault.Invalid, "push option wip takes no value", ""},
		{"refs/for/main%topic", nil, fault.Invalid, "push option topic needs a value: topic=NAME", ""},
		{"refs/for/main%topic=a,topic=b", nil, fault.Invalid, "push option topic is given twice", ""},
		{"refs/for/main%m=%zz", nil, fault.Invalid, "the text of push option m cannot be decoded", ""},
		{"refs/for/main%m=%1b", nil, fault.Invalid, "the text of push option m cannot be decoded", ""},
		{"refs/for/main%l=+2", nil, fault.Invalid, `"+2" is no vote`, "label=Code-Review+1"},
		{"refs/for/main%l=A+1,l=A-1", nil, fault.Invalid, "push options vote twice on A", ""},
		{"refs/for/main", []string{"topic=a\nX-Inject: 1"}, fault.Invalid, `push option "topic=a\nX-Inject: 1" has control characters or is not UTF-8`, ""},
		{"refs/for/main", []string{"topic=\x1b[2J"}, fault.Invalid, `push option "topic=\x1b[2J" has control characters or is not UTF-8`, ""},
		{"refs/for/main", []string{"topic=\xff"}, fault.Invalid, `push option "topic=\xff" has control characters or is not UTF-8`, ""},
		{"refs/for/main", []string{"topic=\u202eabc"}, fault.Invalid, `push option "topic=\u202eabc" has control characters or is not UTF-8`, ""},
		{"refs/for/main", []string{"topic=" + strings.Repeat("x", 201)}, fault.Invalid, "this topic cannot be used", "200 bytes"},
		{"refs/for/main", []string{"m=" + strings.Repeat("x", 60_000)}, fault.TooLarge, "a push option of 60002 bytes is longer than 4096", ""},
		{"refs/for/main", []string{"m=" + strings.Repeat("x", 2001)}, fault.TooLarge, "a patch set's description has at most 2000 bytes", ""},
		{"refs/for/main", many, fault.TooLarge, "33 push options are more than 32", ""},
	} {
		t.Run(fmt.Sprintf("%s %.40q", test.ref, test.opts), func(t *testing.T) {
			_, _, err := review.ParseOptions(test.ref, test.opts)
			public, next := fault.Public(err)
			if err == nil || fault.KindOf(err) != test.kind || public != test.public || !strings.Contains(next, test.next) {
				t.Errorf("got %v %q, next %q", fault.KindOf(err), public, next)
			}
		})
	}
}
