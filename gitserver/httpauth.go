package gitserver

import (
	"net/http"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

// realm is what a browser or a credential helper shows.
const realm = `Basic realm="Gatehouse"`

// maxToken bounds a credential before it is looked at.
const maxToken = 512

// httpCodes is what each kind of fault is to an HTTP client.
var httpCodes = map[fault.Kind]int{
	fault.Internal: http.StatusInternalServerError, fault.Invalid: http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized, fault.Denied: http.StatusForbidden,
	fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
	fault.Refused: http.StatusForbidden, fault.TooLarge: http.StatusRequestEntityTooLarge,
	fault.Unavailable: http.StatusServiceUnavailable,
}

// deny answers a request that is not served, and logs it. Somebody who did not sign in is
// asked to wherever that could help: at a private repository, hence at a missing one too.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, actor account.Actor, svc service, err error) {
	kind := fault.KindOf(err)
	if kind == fault.NotFound && actor.Anonymous() {
		kind = fault.Unauthenticated
	}
	code := httpCodes[kind]
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", realm)
	}
	s.logHTTP(r, actor, svc, kind.String(), err)
	text(w, code, fault.Sentence(err))
}

func (s *Server) logHTTP(r *http.Request, actor account.Actor, svc service, result string, err error) {
	name, _ := repo.FromPath(strings.TrimSuffix(strings.TrimSuffix(r.URL.Path, infoRefs), "/"+string(svc)))
	args := []any{"verb", string(svc), "repo", name, "actor", actor.Name, "method", actor.Method,
		"remote", r.RemoteAddr, "result", result}
	if err != nil {
		args = append(args, "err", err.Error())
	}
	if fault.Is(err, fault.Internal) {
		s.log().ErrorContext(r.Context(), "git over http", args...)
		return
	}
	s.log().InfoContext(r.Context(), "git over http", args...)
}

// actorOf says who asks. No credentials are nobody; wrong ones are an error even where
// nobody would be let in, so that a revoked token is noticed. The web's session cookie is
// not looked at.
func (s *Server) actorOf(r *http.Request) (account.Actor, error) {
	const op = "gitserver.actorOf"
	header := r.Header.Get("Authorization")
	if header == "" {
		return account.Actor{}, nil
	}
	bad := fault.New(fault.Unauthenticated, op, "wrong user name or token", "use your account's name and a token from `gate token create` as password")
	if len(header) > maxToken {
		return account.Actor{}, bad
	}
	scheme, value, _ := strings.Cut(header, " ")
	var name, secret string
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		secret = strings.TrimSpace(value)
	case strings.EqualFold(scheme, "Basic"):
		var ok bool
		if name, secret, ok = r.BasicAuth(); !ok || name == "" {
			return account.Actor{}, bad
		}
	default:
		return account.Actor{}, bad
	}
	actor, err := s.Accounts.ActorByToken(r.Context(), s.Accounts.DB.Read(), account.APIToken, secret)
	if fault.Is(err, fault.Unauthenticated) {
		return account.Actor{}, bad
	}
	if err != nil {
		return account.Actor{}, err
	}
	if name != "" && name != actor.Name {
		return account.Actor{}, bad // somebody else's token, or a typing error: both worth a word
	}
	return actor, nil
}
