package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// openKey marks, among an operation's metadata, those that strangers may call. One without the
// mark is closed to them.
const openKey = "open"

type actorKey struct{}

// As returns a context in which requests are asked by actor. Only code in this process can
// make one: the command line on the server's own folder.
func As(ctx context.Context, actor account.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// actorOf is who asks; the middleware has put it there.
func actorOf(ctx context.Context) account.Actor {
	actor, _ := ctx.Value(actorKey{}).(account.Actor)
	return actor
}

// authenticate finds who asks and stops strangers at every operation that is not open.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	actor, err := s.actor(r)
	if err == nil && actor.Anonymous() && ctx.Operation().Metadata[openKey] != true {
		err = fault.New(fault.Unauthenticated, "api.authenticate", "nobody is signed in", "send a token: Authorization: Bearer TOKEN; `gate token create NAME` makes one")
	}
	if err != nil {
		s.fail(ctx, err)
		return
	}
	next(huma.WithContext(ctx, context.WithValue(As(ctx.Context(), actor), connectionKey{}, http.NewResponseController(w))))
}

type connectionKey struct{}

// unhurried takes back the deadline that the framework set for reading the body. Left in
// place it would end, half a minute on, the context of an import or a log that is followed.
func unhurried(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*http.ResponseController); ok {
		_ = c.SetReadDeadline(time.Time{}) // an answer without a connection has no deadline
	}
}

// actor reads the credentials of a request: the local operator's, a token, or the cookie of
// a session. Credentials that are there and wrong are an error, never anonymity.
func (s *Server) actor(r *http.Request) (account.Actor, error) {
	if local := actorOf(r.Context()); !local.Anonymous() {
		return local, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return s.byToken(r, header)
	}
	cookie, err := r.Cookie(s.SessionCookie)
	if err != nil || cookie.Value == "" {
		return account.Actor{}, nil
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return account.Actor{}, fault.New(fault.Denied, "api.actor", "this request comes from another site", "send it from this server's pages, or with a token")
	}
	return s.Accounts.ActorByToken(r.Context(), s.DB.Read(), account.SessionToken, cookie.Value)
}

// byToken signs in with an Authorization header: a bearer token, or Basic with the token as
// the password, as git sends it. A name beside the token has to be the account's: somebody
// else's token and a typing error are both worth a word.
func (s *Server) byToken(r *http.Request, header string) (account.Actor, error) {
	const op, next = "api.byToken", "send Authorization: Bearer TOKEN, or Basic with the account's name and the token"
	name := ""
	scheme, secret, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		if name, secret, ok = r.BasicAuth(); !ok || name == "" {
			return account.Actor{}, fault.New(fault.Unauthenticated, op, "this kind of Authorization is not taken", next)
		}
	}
	actor, err := s.Accounts.ActorByToken(r.Context(), s.DB.Read(), account.APIToken, strings.TrimSpace(secret))
	if err == nil && name != "" && name != actor.Name {
		return account.Actor{}, fault.New(fault.Unauthenticated, op, "the token is not that account's", next)
	}
	return actor, err
}

// fail answers with err as a problem; what is the server's own fault is logged here, once.
func (s *Server) fail(ctx huma.Context, err error) {
	p := s.problem(ctx.Context(), ctx.Operation().OperationID, err)
	if p.Code == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="Gatehouse"`)
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Code)
	writeJSON(ctx.BodyWriter(), p)
}

func (s *Server) problem(ctx context.Context, operation string, err error) *Problem {
	p := problemOf(err)
	if p.Code == http.StatusInternalServerError && ctx.Err() == nil {
		s.Log.Error("api", "operation", operation, "actor", actorOf(ctx).Name, "err", err)
	}
	return p
}
