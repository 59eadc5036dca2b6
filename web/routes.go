package web

import (
	"net/http"

	"gatehouse/review"
)

// right is what a route asks of a visitor before its handler decides more finely. The
// handlers ask account.Store.May; a test holds the two against each other.
type right int

// The rights.
const (
	rightOpen    right = iota // anybody: the page holds nothing of a repository
	rightRead                 // whoever may read the repository or change of the address
	rightSession              // whoever signed in; the page is about themselves, or the act asks more
	rightOwn                  // whoever owns the repository
	rightToken                // whoever has the signed address; programs too, without an origin
)

// route is one address.
type route struct {
	name   string
	method string
	path   string
	right  right
	heavy  bool // makes git work hard: only so many at once
	handle func(*Web, *call) error
}

// The patterns of addresses. A part of a repository's name never begins with a dash, so
// "/-/" ends the name; what follows the kind of page may be anything, slashes included.
const (
	repoPattern = `{repo:[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,2}}`
	restPattern = `{rest:.+}`
	numPattern  = `{n:[0-9]+}`
)

// SignInPath, followed by the secret of a one-time link, is where that link leads.
const SignInPath = "/signin/"

// routes is every address of the pages.
func routes() []route {
	get, post := http.MethodGet, http.MethodPost
	all := []route{
		{"asset", get, "/static/{version}/{name}", rightOpen, false, (*Web).asset},
		{"favicon", get, "/favicon.ico", rightOpen, false, (*Web).favicon},
		{"robots", get, "/robots.txt", rightOpen, false, (*Web).robots},
		{"hook", get, "/tools/hooks/commit-msg", rightOpen, false, (*Web).hook},
		{"signin", get, "/signin", rightOpen, false, (*Web).signinPage},
		{"signin.do", post, "/signin", rightOpen, false, (*Web).signin},
		{"link", get, SignInPath + "{secret}", rightOpen, false, (*Web).linkPage},
		{"link.do", post, SignInPath + "{secret}", rightOpen, false, (*Web).link},
		{"language.do", post, "/settings/language", rightOpen, false, (*Web).setLanguage},
		{"signout.do", post, "/signout", rightOpen, false, (*Web).signout},

		{"dashboard", get, "/", rightOpen, false, (*Web).dashboard},
		{"repositories", get, "/repositories", rightOpen, false, (*Web).repositories},
		{"search", get, "/changes", rightOpen, false, (*Web).search},
		{"bulk.do", post, "/changes/act", rightSession, false, (*Web).bulk},
		{"search.save.do", post, "/changes/save", rightSession, false, (*Web).saveSearch},
		{"search.forget.do", post, "/changes/forget", rightSession, false, (*Web).forgetSearch},

		{"settings", get, "/settings", rightSession, false, (*Web).settings},
		{"settings.key.do", post, "/settings/keys", rightSession, false, (*Web).addKey},
		{"settings.unkey.do", post, "/settings/keys/remove", rightSession, false, (*Web).removeKey},
		{"settings.token.do", post, "/settings/tokens", rightSession, false, (*Web).addToken},
		{"settings.revoke.do", post, "/settings/tokens/revoke", rightSession, false, (*Web).revokeToken},
		{"watches", get, "/settings/watches", rightSession, false, (*Web).watches},
		{"watches.add.do", post, "/settings/watches/add", rightSession, false, (*Web).addWatch},
		{"watches.remove.do", post, "/settings/watches/remove", rightSession, false, (*Web).removeWatch},
		{"settings.password.do", post, "/settings/password", rightSession, false, (*Web).setPassword},

		{"stage", get, "/stage/{id:[0-9]+}/log", rightRead, true, (*Web).stageLog},
		{"stage.stop.do", post, "/stage/{id:[0-9]+}/stop", rightSession, false, (*Web).stopStage},
		{"stage.events", get, "/stage/{id:[0-9]+}/events", rightRead, false, (*Web).stageEvents},
	}
	all = append(all, notifyRoutes()...)
	all = append(all, changeRoutes()...)
	all = append(all, actRoutes()...)
	return append(all, repoRoutes()...)
}

func changeRoutes() []route {
	get, post := http.MethodGet, http.MethodPost
	c := "/c/" + numPattern
	return []route{
		{"change", get, c, rightRead, true, (*Web).change},
		{"change.events", get, c + "/events", rightRead, false, (*Web).changeEvents},
		{"change.file", get, c + "/file", rightRead, true, (*Web).changeFile},
		{"change.way", get, c + "/delivery", rightRead, false, (*Web).way},
		{"change.outcome.do", post, c + "/outcome", rightSession, false, (*Web).setOutcome},
		{"change.approve.do", post, c + "/approve", rightSession, false, (*Web).approveChange},
		{"change.bypass.do", post, c + "/bypass", rightSession, false, (*Web).bypass},
		{"change.stack", get, c + "/stack", rightRead, true, (*Web).stack},
		{"change.viewed.do", post, c + "/viewed", rightSession, true, (*Web).viewed},
		{"change.vote.do", post, c + "/vote", rightSession, false, (*Web).vote},
		{"change.comment.do", post, c + "/comment", rightSession, false, (*Web).comment},
		{"change.draft.do", post, c + "/draft", rightSession, false, (*Web).draft},
		{"change.apply.do", post, c + "/apply", rightSession, true, (*Web).apply},
		{"change.reviewers", get, c + "/reviewers", rightSession, true, (*Web).suggestReviewers},
		{"change.reviewers.do", post, c + "/reviewers", rightSession, false, (*Web).addReviewers},
		{"change.unreview.do", post, c + "/reviewers/remove", rightSession, false, (*Web).removeReviewer},
		{"change.turn.do", post, c + "/turn", rightSession, false, (*Web).giveTurn},
		{"change.unturn.do", post, c + "/turn/remove", rightSession, false, (*Web).takeTurn},
		{"change.star.do", post, c + "/star", rightSession, false, (*Web).star},
		{"change.submit.do", post, c + "/submit", rightSession, false, act("submitted", doSubmit)},
		{"change.withdraw.do", post, c + "/withdraw", rightSession, false, act("withdrawn", doWithdraw)},
		{"change.recheck.do", post, c + "/recheck", rightSession, false, (*Web).recheck},
		{"change.abandon.do", post, c + "/abandon", rightSession, false, act("abandoned", doAbandon)},
		{"change.restore.do", post, c + "/restore", rightSession, false, act("restored", doRestore)},
		{"change.wip.do", post, c + "/wip", rightSession, false, act("wip", doWIP)},
		{"change.ready.do", post, c + "/ready", rightSession, false, act("ready", doReady)},
		{"change.short", get, c + "/{ps:[0-9]+}", rightOpen, false, (*Web).changeAlias},
		{"change.gerrit", get, "/c/" + repoPattern + "/+/" + numPattern, rightOpen, false, (*Web).changeAlias},
		{"change.gerrit.ps", get, "/c/" + repoPattern + "/+/" + numPattern + "/{ps:[0-9]+}", rightOpen, false, (*Web).changeAlias},
	}
}

func repoRoutes() []route {
	get, post := http.MethodGet, http.MethodPost
	r := "/" + repoPattern
	return []route{
		{"repo.go", get, r + "/-/go", rightRead, false, (*Web).goTo},
		{"repo.tree", get, r + "/-/tree/" + restPattern, rightRead, true, (*Web).tree},
		{"repo.file", get, r + "/-/file/" + restPattern, rightRead, true, (*Web).file},
		{"repo.raw", get, r + "/-/raw/" + restPattern, rightRead, true, (*Web).raw},
		{"repo.lines", get, r + "/-/lines/" + restPattern, rightRead, true, (*Web).lines},
		{"repo.log.default", get, r + "/-/log", rightRead, true, (*Web).history},
		{"repo.log", get, r + "/-/log/" + restPattern, rightRead, true, (*Web).history},
		{"repo.commit", get, r + "/-/commit/{oid}", rightRead, true, (*Web).commit},
		{"repo.branches", get, r + "/-/branches", rightRead, false, (*Web).branches},
		{"repo.changes", get, r + "/-/changes", rightRead, false, (*Web).changes},
		{"repo.queue", get, r + "/-/queue/" + restPattern, rightRead, false, (*Web).queue},
		{"repo.queue.events", get, r + "/-/queue-events/" + restPattern, rightRead, false, (*Web).queueEvents},
		{"repo.flakes", get, r + "/-/flakes", rightRead, false, (*Web).flakes},
		{"repo.tests", get, r + "/-/tests", rightRead, false, (*Web).testsPage},
		{"repo.environments", get, r + "/-/environments", rightRead, false, (*Web).environments},
		{"repo.environments.do", post, r + "/-/environments", rightSession, false, (*Web).actOnEnvironment},
		{"repo.environments.events", get, r + "/-/environments-events", rightRead, false, (*Web).environmentEvents},
		{"repo.deliveries", get, r + "/-/deliveries", rightRead, false, (*Web).deliveries},
		{"repo.delivery", get, r + "/-/deliveries/{id:[0-9]+}", rightRead, false, (*Web).delivery},
		{"repo.delivery.do", post, r + "/-/deliveries/{id:[0-9]+}", rightSession, false, (*Web).approve},
		{"repo.delivery.events", get, r + "/-/deliveries/{id:[0-9]+}/events", rightRead, false, (*Web).deliveryEvents},
		{"repo.artifact", get, r + "/-/artifacts/{digest}", rightRead, false, (*Web).artifact},
		{"repo.artifact.content", get, r + "/-/artifacts/{digest}/content", rightRead, false, (*Web).artifactContent},
		{"repo.artifact.statement", get, r + "/-/artifacts/{digest}/statement", rightRead, false, (*Web).artifactStatement},
		{"repo.figures", get, r + "/-/figures", rightRead, false, (*Web).figures},
		{"repo.settings", get, r + "/-/settings", rightOwn, false, (*Web).repoSettings},
		{"repo.retry.do", post, r + "/-/retry", rightOwn, false, (*Web).retryMirror},
		{"repo", get, r, rightRead, true, (*Web).repoHome},
	}
}

// hook is the commit-msg hook, for curl and for git-review.
func (w *Web) hook(c *call) error {
	c.rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	send(c.rw, review.CommitMsgHook())
	return nil
}
