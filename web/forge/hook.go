package forge

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/fault"
)

const (
	// maxBody bounds one delivery: a push of two thousand commits has about a megabyte.
	maxBody = 4 << 20
	// bodyTimeout bounds how long a body may trickle in.
	bodyTimeout = 30 * time.Second
)

// Routes puts the hooks on r. They stand outside the API: a signature is their only credential.
func (s *Service) Routes(r *mux.Router) {
	r.HandleFunc("/hooks/{id:[0-9]{1,18}}", s.Hook)
	r.HandleFunc("/v1/triggers/{id:[0-9]{1,18}}", s.Hook) // what Solum called it
}

// answer is what a sender is told.
type answer struct {
	Delivery int64          `json:"delivery,omitempty"`
	State    entrance.State `json:"state,omitempty"`
	Will     string         `json:"will,omitempty"` // what will be done
	Error    string         `json:"error,omitempty"`
	Next     string         `json:"next,omitempty"`
}

// Hook takes one delivery: 202 when it is on disk and will be acted upon, or was understood and
// asks for nothing; 200 when it was here before; 401 forged, 400 malformed, 413 too large, 404
// for no such entrance, 503 when it could not be kept and should be sent again.
func (s *Service) Hook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		say(w, http.StatusMethodNotAllowed, answer{Error: "webhooks are POSTed"})
		return
	}
	id, err := strconv.ParseInt(mux.Vars(r)["id"], 10, 64)
	if err != nil {
		say(w, http.StatusNotFound, answer{Error: "there is no such entrance"})
		return
	}
	e, err := s.Entrances.ByID(r.Context(), s.Entrances.DB.Read(), id)
	if err != nil {
		s.sayError(w, err)
		return
	}
	body, err := readBody(w, r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		s.Entrances.Refuse(r.Context(), e, "", "", "larger than a delivery may be")
		say(w, http.StatusRequestEntityTooLarge, answer{Error: "this delivery is too large", Next: "at most " + strconv.Itoa(maxBody>>20) + " MiB are taken"})
		return
	case err != nil:
		say(w, http.StatusBadRequest, answer{Error: "the body did not arrive whole"})
		return
	}
	secrets, err := s.Entrances.Secrets(e)
	if err != nil {
		s.sayError(w, err)
		return
	}
	if err := verify(e.Forge, r, body, secrets, s.Now()); err != nil {
		s.Entrances.Refuse(r.Context(), e, "", "", err.Error())
		say(w, http.StatusUnauthorized, answer{Error: err.Error(), Next: "give both sides the same secret: gate entrance rotate"})
		return
	}
	s.take(w, r, e, body)
}

// readBody reads all of a body that is not too large and not encoded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	if r.Header.Get("Content-Encoding") != "" {
		return nil, errors.New("forge: encoded bodies are not taken")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a writer of a test has none
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

// take reads and keeps what a known sender says.
func (s *Service) take(w http.ResponseWriter, r *http.Request, e entrance.Entrance, body []byte) {
	m := entrance.Message{Name: deliveryName(e.Forge, r.Header), Event: eventName(e.Forge, r.Header), Body: body}
	refuse := func(why string) {
		s.Entrances.Refuse(r.Context(), e, m.Name, m.Event, why)
		say(w, http.StatusBadRequest, answer{State: entrance.Rejected, Error: why, Next: "deliveries are JSON, as the forge sends them when application/json is chosen"})
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse("this is not application/json")
		return
	}
	n, why, err := read(e, m.Event, body)
	if err == nil && n != nil {
		err = n.Check()
	}
	if err != nil {
		refuse("this cannot be read: " + fault.Sentence(err))
		return
	}
	m.Notice, m.Why = n, why
	d, err := s.Entrances.Take(r.Context(), e, m)
	if err != nil {
		s.sayError(w, err)
		return
	}
	switch d.State {
	case entrance.Duplicate:
		say(w, http.StatusOK, answer{State: d.State, Will: "nothing: it was here before"})
	case entrance.Ignored:
		say(w, http.StatusAccepted, answer{Delivery: d.ID, State: d.State, Will: "nothing: " + d.Reason})
	default:
		say(w, http.StatusAccepted, answer{Delivery: d.ID, State: d.State, Will: will(d.Notice)})
	}
}

// will is what will be done, in words.
func will(n entrance.Notice) string {
	number := strconv.FormatInt(n.Number, 10)
	switch n.Kind {
	case entrance.Proposed:
		return "fetch proposal " + number + " and hold it as a change for " + n.Branch
	case entrance.Closed:
		return "close the changes of proposal " + number
	case entrance.Pushed:
		return "look at " + n.Branch + " and test what is new on it"
	case entrance.Grouped:
		return "test the merge queue's commit for " + n.Branch
	case entrance.Commented:
		return "see whether the comment is a command, and of somebody who may give it"
	case entrance.Labelled:
		return "see whether the label names an outcome"
	case entrance.Reviewed:
		return "see whether the review counts as a vote"
	default:
		panic("forge: unknown kind of notice " + string(n.Kind))
	}
}

// sayError answers with what went wrong on our side, or with what the sender did wrong.
func (s *Service) sayError(w http.ResponseWriter, err error) {
	sentence, next := fault.Public(err)
	status := http.StatusServiceUnavailable
	switch fault.KindOf(err) {
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Invalid:
		status = http.StatusBadRequest
	default:
		s.Log.Error("forge: a delivery could not be kept", "err", err)
		w.Header().Set("Retry-After", "30")
	}
	say(w, status, answer{Error: sentence, Next: next})
}

func say(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the sender has gone
}
