package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// maxAsk is how many people a refusal names: enough to find one, not a member list.
const maxAsk = 3

// Resource is what a verb is done to.
type Resource struct {
	Repo    int64
	Private bool
	// DefaultRole is what every signed-in account is on the repository.
	DefaultRole Role
	// Branch is the short name of the branch that is acted upon (of a change: its target;
	// for [Tag] the tag's short name), or "".
	Branch string
	// ChangeOwner is the owner of the change that is acted upon, or 0.
	ChangeOwner int64
	// Only, when it is not nil, are the accounts that may know of the change that is acted
	// upon: it is private. To all others, but for administrators, it does not exist.
	Only []int64
}

// standing is what the decision rests on, read from the rows as they are now.
type standing struct {
	signedIn bool // an account that exists and is not disabled, or the local administrator
	disabled bool
	admin    bool
	whole    Role // on the whole repository
	branch   Role // on the branch, where that is more
	anywhere bool // some grant on some branch
	required Role // by branch rules
}

// May decides whether a may do v to r: nil when it may. Otherwise the fault is NotFound when
// a may not even know of r, Unauthenticated when signing in could help, and Denied with the
// people to ask. It looks at the account's present row and grants, not at what was true
// when a signed in, so that taking a right away works at once.
func (s *Store) May(ctx context.Context, q db.Querier, a Actor, v Verb, r Resource) error {
	st, err := s.stand(ctx, q, a, v, r)
	if err != nil {
		return err
	}
	switch decide(st, a, v, r) {
	case allowed:
		return nil
	case hidden:
		return Missing("account.May")
	case unknown:
		if st.disabled {
			return fault.New(fault.Unauthenticated, "account.May", "this account is disabled", "ask an administrator")
		}
		return fault.New(fault.Unauthenticated, "account.May", fmt.Sprintf("you have to sign in to %s", v.words(r.Branch)), "sign in and try again")
	default:
		next, err := s.whoMay(ctx, q, v, r)
		if err != nil {
			return err
		}
		return fault.New(fault.Denied, "account.May", fmt.Sprintf("%s may not %s", a.Name, v.words(r.Branch)), next)
	}
}

// Missing is what is said of a repository that does not exist, and of one that the asker may
// not know of: the same words, so that the answer tells nothing.
func Missing(op string) error {
	return fault.New(fault.NotFound, op, "there is no such repository, or you may not see it", "check its name, and that you are signed in as somebody who may read it")
}

type decision int

const (
	denied decision = iota // the zero value: what is not decided is denied
	allowed
	hidden
	unknown
)

// decide is the whole policy, without a database.
func decide(st standing, a Actor, v Verb, r Resource) decision {
	need, onRepo := v.needs()
	if st.admin {
		if onRepo || v == Create || v == Administer {
			return allowed
		}
		return denied
	}
	if !onRepo { // creating and administering are for administrators only
		if !st.signedIn {
			return unknown
		}
		return denied
	}
	role := st.whole
	if r.Only != nil && (a.ID == 0 || !slices.Contains(r.Only, a.ID)) {
		return hidden
	}
	sees := !r.Private || role.Includes(RoleRead) || st.anywhere
	if !sees {
		return hidden
	}
	if st.disabled { // also for what anybody may read: its open connections end here
		return unknown
	}
	if v == Read {
		return allowed
	}
	if !st.signedIn {
		return unknown
	}
	if v.onBranch() && st.branch.Includes(role) {
		role = st.branch
	}
	if v.own() && r.ChangeOwner != 0 && r.ChangeOwner == a.ID {
		return allowed // one's own change, whatever the branch's rules say about those of others
	}
	if role.Includes(need) && (!v.ruled() || role.Includes(st.required)) {
		return allowed
	}
	return denied
}

// stand reads what [decide] needs.
func (s *Store) stand(ctx context.Context, q db.Querier, a Actor, v Verb, r Resource) (standing, error) {
	var st standing
	if a.Method == MethodLocal && a.ID == 0 {
		return standing{signedIn: true, admin: a.Admin}, nil
	}
	if a.ID == 0 {
		return st, nil
	}
	var admin, disabled int64
	err := q.QueryRowContext(ctx, `SELECT admin, disabled FROM accounts WHERE id = $1`, a.ID).Scan(&admin, &disabled)
	if errors.Is(err, sql.ErrNoRows) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("account: may: %w", err)
	}
	if disabled != 0 {
		st.disabled = true
		return st, nil
	}
	st.signedIn = true
	st.admin = a.Admin && admin != 0 // neither a stale actor nor a narrowed one gains by the other
	if r.Repo == 0 || st.admin {
		return st, nil
	}
	st.whole = RoleNone
	if r.DefaultRole.rank() > 0 {
		st.whole = r.DefaultRole
	}
	if err := addGrants(ctx, q, &st, a.ID, r); err != nil {
		return st, err
	}
	if !v.ruled() {
		return st, nil
	}
	rules, err := s.Rules(ctx, q, r.Repo)
	if err != nil {
		return st, err
	}
	for _, rule := range rules {
		if v.ruledBy(rule.Verb) && Matches(rule.Pattern, r.Branch) {
			if rule.Role.rank() < 0 {
				rule.Role = RoleOwn // a role from another age closes; it never opens
			}
			if rule.Role.Includes(st.required) {
				st.required = rule.Role
			}
		}
	}
	return st, nil
}

func addGrants(ctx context.Context, q db.Querier, st *standing, account int64, r Resource) error {
	rows, err := q.QueryContext(ctx, `SELECT branch, role FROM grants WHERE repo_id = $1 AND (
		(subject_kind = 'account' AND subject_id = $2) OR
		(subject_kind = 'group' AND subject_id IN (SELECT group_id FROM group_members WHERE account_id = $2)))`, r.Repo, account)
	if err != nil {
		return fmt.Errorf("account: may: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var branch string
		var role Role
		if err := rows.Scan(&branch, &role); err != nil {
			return fmt.Errorf("account: may: %w", err)
		}
		if role.rank() <= 0 {
			continue
		}
		st.anywhere = true
		switch {
		case branch == "" && role.Includes(st.whole):
			st.whole = role
		case branch != "" && r.Branch != "" && Matches(branch, r.Branch) && role.Includes(st.branch):
			st.branch = role
		}
	}
	return rows.Err()
}

// whoMay is the next step of a refusal: whom to ask.
func (s *Store) whoMay(ctx context.Context, q db.Querier, v Verb, r Resource) (string, error) {
	if _, onRepo := v.needs(); !onRepo || r.Repo == 0 {
		return s.askAdmins(ctx, q)
	}
	// The name is looked up here, on the way to a refusal, so that no caller has to carry it.
	var repo string
	err := q.QueryRowContext(ctx, `SELECT name FROM repositories WHERE id = $1`, r.Repo).Scan(&repo)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("account: may: %w", err)
	}
	owners, err := names(ctx, q, `SELECT DISTINCT a.name FROM accounts a JOIN grants g ON g.repo_id = $1 AND g.branch = '' AND g.role = $2 AND (
		(g.subject_kind = 'account' AND g.subject_id = a.id) OR
		(g.subject_kind = 'group' AND EXISTS (SELECT 1 FROM group_members m WHERE m.group_id = g.subject_id AND m.account_id = a.id)))
		WHERE a.disabled = 0 ORDER BY a.name`, r.Repo, string(RoleOwn))
	if err != nil {
		return "", err
	}
	if len(owners) == 0 {
		return s.askAdmins(ctx, q)
	}
	return fmt.Sprintf("ask an owner of %s: %s", repo, enough(owners)), nil
}

func (s *Store) askAdmins(ctx context.Context, q db.Querier) (string, error) {
	admins, err := names(ctx, q, `SELECT name FROM accounts WHERE admin = 1 AND disabled = 0 ORDER BY name`)
	if err != nil {
		return "", err
	}
	if len(admins) == 0 {
		return "ask whoever runs this server", nil
	}
	return "ask an administrator: " + enough(admins), nil
}

func names(ctx context.Context, q db.Querier, query string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("account: may: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("account: may: %w", err)
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

func enough(people []string) string {
	if len(people) <= maxAsk {
		return strings.Join(people, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(people[:maxAsk], ", "), len(people)-maxAsk)
}

// words is v in "NAME may not …".
func (v Verb) words(branch string) string {
	changes, branches := "", "branches of this repository"
	if branch != "" {
		changes, branches = " for "+clip(branch), "the branch "+clip(branch)
	}
	switch v {
	case Read:
		return "read this repository"
	case Propose:
		return "push changes" + changes
	case Comment:
		return "comment on changes" + changes
	case Vote:
		return "vote on changes" + changes
	case Submit:
		return "submit changes" + changes
	case Hold:
		return "hold or remove other people's changes" + changes
	case Promote:
		return "promote changes" + changes
	case Freeze:
		return "freeze or thaw " + branches
	case Edit:
		return "edit other people's changes" + changes
	case Push:
		return "push to " + branches
	case Delete:
		return "delete " + branches
	case Tag:
		return "create tags in this repository"
	case Own:
		return "change the settings of this repository"
	case Create:
		return "create repositories"
	case Administer:
		return "administer this server"
	default:
		return "do this"
	}
}
