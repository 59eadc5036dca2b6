package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
)

// deliveryVerbs are the commands about what has landed: where it runs, and what keeps it out.
type deliveryVerbs struct {
	Env      envCmd      `cmd:"" help:"Environments: what runs where, what comes next, and the orders about it."`
	Promote  promoteCmd  `cmd:"" help:"Ask for what has landed to enter an environment."`
	Rollback rollbackCmd `cmd:"" help:"Go back to what ran well in an environment before."`
	Approve  approveCmd  `cmd:"" help:"Accept an open change, or what was built from a landed one, at a gate."`
	Bypass   bypassCmd   `cmd:"" help:"Leave a stage or a gate out of a change's way, where the plan lets you."`
	Outcome  outcomeCmd  `cmd:"" help:"Say how far a change is meant to go."`
	Status   statusCmd   `cmd:"" help:"What outside systems say about commits and artifacts."`
	Artifact artifactCmd `cmd:"" help:"Artifacts: what stages made, by digest."`
	Assembly assemblyCmd `cmd:"" help:"Assemblies: what runs in the environments."`
	Secret   secretCmd   `cmd:"" help:"Secrets of a repository, for its stages and assemblies."`
}

func init() {
	for path, lines := range map[string][]string{
		"env":              {"gate env list hello", "gate env show hello production", "gate env freeze hello production --reason 'the launch' --until 18:00"},
		"env list":         {"gate env list hello", "gate env list hello --branch release/1 --json"},
		"env show":         {"gate env show hello production"},
		"env pin":          {"gate env pin hello production 3f9a2c41 --reason 'the audit looks at this one' --until 2027-01-15"},
		"env veto":         {"gate env veto hello production 17 --reason 'it leaks' --rollback"},
		"env freeze":       {"gate env freeze hello production --reason 'the launch' --for 8h"},
		"env lift":         {"gate env lift hello production freeze", "gate env lift hello production veto 3f9a2c41"},
		"env cancel":       {"gate env cancel hello 812 --reason 'the next one has the fix'"},
		"env figures":      {"gate env figures hello", "gate env figures hello staging --weeks 4 --json"},
		"promote":          {"gate promote hello production", "gate promote hello production 17", "gate promote hello production 3f9a2c41 --hotfix --reason 'logins fail'"},
		"rollback":         {"gate rollback hello production --reason 'logins fail'", "gate rollback hello production 12 --reason 'logins fail since 14'"},
		"approve":          {"gate approve hello accepted", "gate approve hello accepted 17 --note 'tried on a phone'", "gate approve hello accepted 17 --withdraw"},
		"bypass":           {"gate bypass 17 unit --reason 'the test needs a network that is down'"},
		"outcome":          {"gate outcome 17 preview", "gate outcome 17"},
		"status post":      {"gate status post hello 0123456789012345678901234567890123456789 ci/windows PASSED --link https://ci.example.org/7"},
		"artifact":         {"gate artifact list hello", "gate artifact fetch hello 3f9a2c41 --output hello.bin", "gate artifact revoke hello 3f9a2c41 --reason CVE-2027-1234"},
		"artifact fetch":   {"gate artifact fetch hello 3f9a2c41", "gate artifact fetch hello 3f9a2c41 --output - | tar t"},
		"artifact show":    {"gate artifact show hello 3f9a2c41", "gate artifact show hello 3f9a2c41 --statement"},
		"artifact revoke":  {"gate artifact revoke hello 3f9a2c41 --reason CVE-2027-1234"},
		"artifact restore": {"gate artifact restore hello 3f9a2c41 --reason 'the CVE is of another version'"},
		"assembly":         {"gate assembly list hello", "gate assembly log hello 907", "gate assembly stop hello 907"},
		"secret":           {"gate secret set hello DEPLOY_KEY --file key.pem", "gate secret list hello"},
		"secret set":       {"gate secret set hello API_KEY <api-key.txt", "gate secret set hello DEPLOY_KEY --file key.pem"},
	} {
		examples[path] = lines
	}
	examples["why"] = append(examples["why"], "gate why hello --commit 3f9a2c4")
}

// envCmd is environments and the orders that people give about them.
type envCmd struct {
	List    envListCmd    `cmd:"" help:"List the environments of a branch: what runs there, and since when."`
	Show    envShowCmd    `cmd:"" help:"Show one environment: what runs, what comes next and why not yet, orders, what was."`
	Cancel  envCancelCmd  `cmd:"" help:"Withdraw a promotion that waits."`
	Pin     envPinCmd     `cmd:"" help:"Let nothing but one artifact enter."`
	Veto    envVetoCmd    `cmd:"" help:"Keep an artifact out."`
	Freeze  envFreezeCmd  `cmd:"" help:"Let nothing but hotfixes and rollbacks enter."`
	Lift    envLiftCmd    `cmd:"" help:"End a pin, a veto or a freeze."`
	Figures envFiguresCmd `cmd:"" help:"How fast, and how well, what lands comes to run."`
}

// ofBranch names a branch of a repository.
type ofBranch struct {
	Repo   string `arg:"" help:"The repository."`
	Branch string `placeholder:"B" help:"The branch; without it the default branch."`
}

// path is where the API has something of the branch.
func (o ofBranch) path(rest string, more ...string) string {
	q := url.Values{}
	if o.Branch != "" {
		q.Set("branch", o.Branch)
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			q.Set(more[i], more[i+1])
		}
	}
	path := "/repositories/" + inPath(o.Repo) + rest
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}

// ofEnvironment names an environment of a branch.
type ofEnvironment struct {
	ofBranch
	Env string `arg:"" help:"The environment."`
}

func (o ofEnvironment) at(rest string, more ...string) string {
	return o.path("/environments/"+url.PathEscape(o.Env)+rest, more...)
}

type envListCmd struct {
	target
	reading
	ofBranch
}

func (c *envListCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var got items[gatekeeper.EnvironmentView]
		if err := cl.do(http.MethodGet, c.path("/environments"), nil, &got); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, got.Items)
		}
		if len(got.Items) == 0 {
			say(p.stderr, "the plan of %s has no environments; docs/plan.md tells how it gets some", clean(c.Repo))
			return nil
		}
		if err := addComing(cl, c.ofBranch, got.Items); err != nil {
			return err
		}
		var rows [][]string
		for _, v := range got.Items {
			rows = append(rows, environmentRow(v))
		}
		return printTable(p.stdout, "ENVIRONMENT APP COMMIT DIGEST SINCE STATE ADDRESS NAME NEXT", rows)
	})
}

// addComing adds to what waits in environments what is on its way to them and has a gate or a
// stage before it: no promotion of it exists yet.
func addComing(cl *client, of ofBranch, all []gatekeeper.EnvironmentView) error {
	var on items[gatekeeper.Delivery]
	if err := cl.do(http.MethodGet, of.path("/deliveries"), nil, &on); err != nil {
		return err
	}
	for _, d := range on.Items {
		for _, s := range d.Stops {
			for i := range all {
				if d.State == gatekeeper.RunRunning && s.Promotion == 0 && s.Environment == all[i].Name {
					p := deliver.Promotion{Environment: s.Environment, Run: d.Run, Commit: d.Commit, Change: d.Change}
					all[i].Next = append(all[i].Next, deliver.Waiting{Promotion: p, Words: s.Words, When: s.Until})
				}
			}
		}
	}
	return nil
}

// environmentRow is an environment in one line.
func environmentRow(v gatekeeper.EnvironmentView) []string {
	row := []string{v.Name, v.App, "-", "-", "-", "free", "-", "-", "-"}
	if v.Class != "standing" {
		row[5] = fmt.Sprintf("%d for changes", len(v.Running))
		return row
	}
	if k := v.Current; k != nil {
		row[2], row[3], row[4], row[5] = cut(string(k.Commit)), shortDigest(k.Digest), date(k.EndedAt), "gone"
	}
	if a := v.Assembly; a != nil {
		row[5], row[6], row[7] = strings.ToLower(string(a.State)), orNone(a.Address), nameWords(*a)
	}
	switch {
	case v.Broken != "":
		row[5] += ", broken"
	case v.Frozen != "" || hasOrder(v.Orders, deliver.OrderFreeze):
		row[5] += ", frozen"
	}
	if v.Entering != nil {
		row[8] = what(*v.Entering) + ": " + v.Entering.Why
	} else if len(v.Next) > 0 {
		row[8] = what(v.Next[0].Promotion) + ": " + v.Next[0].Words
	}
	return row
}

func hasOrder(all []deliver.Order, kind string) bool {
	for _, o := range all {
		if o.Kind == kind {
			return true
		}
	}
	return false
}

// nameWords is the host name of an assembly, and what is wrong with it.
func nameWords(a deliver.Assembly) string {
	switch {
	case a.Host == "":
		return "-"
	case a.DNS == deliver.DNSBound:
		return a.Host
	default:
		return a.Host + " (" + strings.ToLower(a.DNS) + ")"
	}
}

// shortDigest is a digest as people write it.
func shortDigest(digest string) string {
	const shown = 12
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(len(hex), shown)]
}

// what names what a promotion brings, for people.
func what(p deliver.Promotion) string {
	if p.Change != 0 {
		return fmt.Sprintf("change %d", p.Change)
	}
	return shortDigest(p.Digest)
}

type envShowCmd struct {
	target
	reading
	ofBranch
	Env string `arg:"" optional:"" help:"The environment; without it all of them."`
}

func (c *envShowCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var got items[gatekeeper.EnvironmentView]
		if c.Env != "" {
			var one gatekeeper.EnvironmentView
			if err := cl.do(http.MethodGet, ofEnvironment{c.ofBranch, c.Env}.at(""), nil, &one); err != nil {
				return err
			}
			if c.JSON {
				return printJSON(p.stdout, one)
			}
			got.Items = append(got.Items, one)
		} else if err := cl.do(http.MethodGet, c.path("/environments"), nil, &got); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, got.Items)
		}
		if err := addComing(cl, c.ofBranch, got.Items); err != nil {
			return err
		}
		for _, v := range got.Items {
			if err := showEnvironment(p.stdout, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// showEnvironment prints all about one environment.
func showEnvironment(w io.Writer, v gatekeeper.EnvironmentView) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s %s (%s, %s)\n", clean(v.Name), clean(v.Repository), clean(v.Branch), v.Class, v.Driver)
	showCurrent(&b, v)
	if v.Broken != "" {
		fmt.Fprintf(&b, "  broken: %s\n", clean(v.Broken))
	}
	if v.Frozen != "" {
		fmt.Fprintf(&b, "  frozen%s: %s\n", untilWords(v.Until), clean(v.Frozen))
	}
	for _, o := range v.Orders {
		fmt.Fprintf(&b, "  %s\n", clean(orderWords(o)))
	}
	for _, n := range v.Next {
		if n.ID == 0 {
			fmt.Fprintf(&b, "  coming: %s (%s): %s%s\n", what(n.Promotion), cut(string(n.Commit)), clean(n.Words), againWords(n.When))
			continue
		}
		fmt.Fprintf(&b, "  next: promotion %d, %s (%s %s): %s%s\n", n.ID, what(n.Promotion), cut(string(n.Commit)), shortDigest(n.Digest), clean(n.Words), againWords(n.When))
	}
	if err := line(w, "%s", strings.TrimRight(b.String(), "\n")); err != nil {
		return err
	}
	if err := printTable(w, "ASSEMBLY CHANGE COMMIT STATE ADDRESS NAME EXPIRES", instanceRows(v)); err != nil {
		return err
	}
	return printTable(w, "PROMOTION KIND CHANGE COMMIT DIGEST STATE ENDED BY WHY", pastRows(v.Past))
}

func showCurrent(b *strings.Builder, v gatekeeper.EnvironmentView) {
	switch k := v.Current; {
	case v.Class != "standing":
	case k == nil:
		b.WriteString("  nothing runs there\n")
	default:
		fmt.Fprintf(b, "  runs %s: %s, commit %s\n  %s\n  since %s%s\n", v.App, what(*k), k.Commit, k.Digest, date(k.EndedAt), byWords(*k))
	}
	if a := v.Assembly; a != nil {
		fmt.Fprintf(b, "  assembly %d is %s at %s", a.ID, strings.ToLower(string(a.State)), orNone(clean(a.Address)))
		if a.Host != "" {
			fmt.Fprintf(b, ", name %s", clean(nameWords(*a)))
		}
		if reason := a.Reason; reason != "" {
			fmt.Fprintf(b, ": %s", clean(reason))
		}
		b.WriteString("\n")
	}
	if e := v.Entering; e != nil {
		fmt.Fprintf(b, "  entering: promotion %d, %s: %s\n", e.ID, what(*e), clean(e.Why))
	}
}

func byWords(p deliver.Promotion) string {
	text := ""
	if p.By != "" {
		text = ", asked for by " + p.By
	}
	if p.Reason != "" {
		text += ": " + clean(p.Reason)
	}
	return text
}

func untilWords(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + date(t)
}

// againWords say when time alone may change something.
func againWords(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "; looked at again " + date(t)
}

func orderWords(o deliver.Order) string {
	text := o.Kind
	if o.Digest != "" {
		text += " " + shortDigest(o.Digest)
	}
	if o.By != "" {
		text += " by " + o.By
	}
	if o.RollBack {
		text += ", also where it runs"
	}
	return text + untilWords(o.Until) + ": " + o.Reason
}

// instanceRows are the assemblies that changes have for themselves.
func instanceRows(v gatekeeper.EnvironmentView) [][]string {
	var rows [][]string
	for _, a := range v.Running {
		if v.Class != "standing" {
			rows = append(rows, []string{number(a.ID), orZero(a.Change), cut(string(a.Commit)), strings.ToLower(string(a.State)), orNone(a.Address), nameWords(a), date(a.ExpiresAt)})
		}
	}
	return rows
}

func pastRows(all []deliver.Promotion) [][]string {
	var rows [][]string
	for _, p := range all {
		why := p.Why
		if p.Reason != "" {
			why = strings.TrimPrefix(why+"; "+p.Reason, "; ")
		}
		rows = append(rows, []string{number(p.ID), string(p.Kind), orZero(p.Change), cut(string(p.Commit)), shortDigest(p.Digest), strings.ToLower(string(p.State)), date(p.EndedAt), orNone(p.By), why})
	}
	return rows
}

func orZero(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}
