package review

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// maxDepends is how many changes one change can depend on beside those that it stands on:
// each is looked up whenever the change is judged.
const maxDepends = 20

// Dependency is what one Depends-On line names. One of its fields is set.
type Dependency struct {
	Key    Key    // a Change-Id: all changes that have it
	Change int64  // a change number
	URL    string // the address of a change
}

// Depends is what a change depends on by its message.
type Depends struct {
	// On are the changes, in any repository and any status, each once, by number.
	On []Change
	// Problems tell, in words, of each line that names no change. Such a line is no
	// dependency that is met: whoever acts on On must wait while there are problems.
	Problems []string
}

var (
	// dependsLine is a line as Gerrit's and Zuul's users write it.
	dependsLine  = regexp.MustCompile(`(?i)^Depends-On[ \t]*:[ \t]*(.*?)[ \t\r]*$`)
	changeNumber = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	webAddress   = regexp.MustCompile(`(?i)^https?://`)
	// changePath is the path of a change below the server's address: /c/REPOSITORY/+/N, /c/N
	// or /N, perhaps with a patch set behind it, which does not matter.
	changePath = regexp.MustCompile(`^/(?:c/(?:(.+)/\+/)?)?([1-9][0-9]{0,17})(?:/[0-9]+)?/?$`)
)

// Dependencies reads the Depends-On lines of a commit message: those of its last paragraph,
// as with a Change-Id. Each names a change by Change-Id, number or address; doubled ones count
// once. problems tell of what cannot be understood.
func Dependencies(message string) (all []Dependency, problems []string) {
	body, footer := splitFooter(message)
	problem := func(format string, args ...any) {
		if len(problems) < maxDepends {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	for line := range strings.SplitSeq(body, "\n") {
		if dependsLine.MatchString(line) {
			problem("`%s` counts in the last paragraph of the message only, beside the Change-Id: move it there", clip(strings.TrimSpace(line)))
		}
	}
	for line := range strings.SplitSeq(footer, "\n") {
		m := dependsLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		d, ok := readDependency(m[1])
		switch {
		case !ok:
			problem("`%s` names no change: write one Change-Id, change number or address of a change on each line", clip("Depends-On: "+m[1]))
		case slices.Contains(all, d):
		case len(all) == maxDepends:
			problem("`%s` is one too many: a change depends on at most %d others", clip("Depends-On: "+m[1]), maxDepends)
		default:
			all = append(all, d)
		}
	}
	return all, problems
}

func readDependency(text string) (d Dependency, ok bool) {
	switch {
	case strictID.MatchString(text) && !zeroID.MatchString(text):
		return Dependency{Key: Key(text)}, true
	case changeNumber.MatchString(text):
		n, err := strconv.ParseInt(text, 10, 64)
		return Dependency{Change: n}, err == nil
	case webAddress.MatchString(text):
		_, err := url.Parse(text)
		return Dependency{URL: text}, err == nil
	}
	return Dependency{}, false
}

// String is the dependency as it is written.
func (d Dependency) String() string {
	switch {
	case d.Key != "":
		return string(d.Key)
	case d.URL != "":
		return d.URL
	default:
		return strconv.FormatInt(d.Change, 10)
	}
}

// ResolveDepends finds what the current patch set of a change depends on, in any repository of
// the server. It looks with the eyes of whoever pushed the patch set: a change that they may
// not see is as one that does not exist, so that a message cannot spy.
func (s *Service) ResolveDepends(ctx context.Context, q db.Querier, c Change) (Depends, error) {
	ps, err := s.PatchSet(ctx, q, c.ID, c.Current)
	if err != nil {
		return Depends{}, err
	}
	all, problems := Dependencies(ps.Message)
	found := Depends{Problems: problems}
	if len(all) == 0 {
		return found, nil
	}
	actor, err := s.Accounts.Actor(ctx, q, ps.Uploader, account.MethodKey)
	switch {
	case fault.Is(err, fault.Unauthenticated):
		found.Problems = append(found.Problems, "the account that pushed the patch set is disabled: its Depends-On lines cannot be looked up")
		return found, nil
	case err != nil:
		return Depends{}, err
	}
	eyes := s.sight(q, actor)
	for _, d := range all {
		on, problem, err := eyes.resolve(ctx, c, d)
		if err != nil {
			return Depends{}, err
		}
		if problem != "" {
			found.Problems = append(found.Problems, fmt.Sprintf("`Depends-On: %s` %s", clip(d.String()), problem))
		}
		found.On = append(found.On, on...)
	}
	slices.SortFunc(found.On, func(a, b Change) int { return cmp.Compare(a.ID, b.ID) })
	found.On = slices.CompactFunc(found.On, func(a, b Change) bool { return a.ID == b.ID })
	return found, nil
}

// resolve finds the changes that c depends on by d, or says why there are none.
func (v *sight) resolve(ctx context.Context, c Change, d Dependency) (on []Change, problem string, err error) {
	where, arg, repository := `WHERE c.id = $1`, any(d.Change), ""
	switch {
	case d.Key != "":
		where, arg = `WHERE c.change_key = $1`, string(d.Key)
	case d.URL != "":
		if repository, arg, problem = v.changeAt(d.URL); problem != "" {
			return nil, problem, nil
		}
	}
	named, err := changes(ctx, v.q, where+fmt.Sprintf(` ORDER BY c.id LIMIT %d`, maxDepends+1), arg)
	if err != nil {
		return nil, "", err
	}
	if len(named) > maxDepends { // those left out may be the ones that matter
		return nil, fmt.Sprintf("names more than %d changes: name those that you mean by their numbers", maxDepends), nil
	}
	itself := false
	for _, other := range named {
		if other.ID == c.ID {
			itself = true
			continue
		}
		ok, err := v.allows(ctx, account.Read, other)
		if err != nil {
			return nil, "", err
		}
		if ok {
			on = append(on, other)
		}
	}
	on = living(on)
	switch {
	case itself && len(on) == 0:
		return nil, "names the change itself: remove the line", nil
	case len(on) == 0:
		return nil, "names no change that " + v.actor.Name + " may see on this server: check it", nil
	case repository != "" && on[0].RepoName != repository:
		return nil, fmt.Sprintf("names a change of repository %s, and change %d is one of %s: correct the address", clip(repository), on[0].ID, on[0].RepoName), nil
	}
	return on, "", nil
}

// living leaves abandoned changes out where there are others: a Change-Id that was used anew
// means the change that is left.
func living(all []Change) []Change {
	var alive []Change
	for _, c := range all {
		if c.Status != Abandoned {
			alive = append(alive, c)
		}
	}
	if len(alive) == 0 {
		return all
	}
	return alive
}

// changeAt reads the address of a change on this server.
func (s *Service) changeAt(address string) (repository string, change int64, problem string) {
	u, err := url.Parse(address)
	own, ownErr := url.Parse(s.URL)
	if err != nil || ownErr != nil || !strings.EqualFold(host(u), host(own)) {
		return "", 0, "is on another server: only changes of this one, " + s.URL + ", can be waited for"
	}
	path, below := strings.CutPrefix(u.Path, strings.TrimSuffix(own.Path, "/"))
	m := changePath.FindStringSubmatch(path)
	if !below || m == nil {
		return "", 0, "is no address of a change: copy it from the change's page, such as " + s.URL + "/c/hello/+/12"
	}
	change, err = strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return "", 0, "is no address of a change"
	}
	return m[1], change, ""
}

// host is the host of an address, without the port that its scheme has anyway.
func host(u *url.URL) string {
	usual := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(u.Scheme)]
	return strings.TrimSuffix(u.Host, usual)
}
