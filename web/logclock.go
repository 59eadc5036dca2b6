package web

import (
	"fmt"
	"html"
	"net/url"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/web/words"
)

// How the times of a log's lines are shown: ?times=since or ?times=clock; else they are not.
const (
	timesSince = "since"
	timesClock = "clock"
)

// logClock writes when each line was begun.
type logClock struct {
	mode  string // "" for no times
	times gatekeeper.LogTimes
	start time.Time // of the stage
}

// clockOf reads the times that the address asks for.
func (w *Web) clockOf(c *call, s gatekeeper.StageRun) (*logClock, error) {
	k := &logClock{start: s.StartedAt}
	if mode := c.query("times"); mode == timesSince || mode == timesClock {
		k.mode = mode
	} else {
		return k, nil
	}
	var err error
	if k.times, err = w.Gate.StageTimes(c.ctx(), c.actor, s.ID); err != nil {
		return nil, err
	}
	if k.start.IsZero() {
		k.start = k.times.Start
	}
	return k, nil
}

// at is the time of the line that begins at an offset, as HTML; "" when none is shown, and an
// empty place when nobody knows it, so that the lines stay below each other.
func (k *logClock) at(offset int64) string {
	if k == nil || k.mode == "" {
		return ""
	}
	t, ok := k.times.At(offset)
	if !ok {
		return `<span class="at"></span>`
	}
	since, clock := sinceText(t.Sub(k.start)), t.UTC().Format("15:04:05.000")
	shown, other := since, clock+" UTC"
	if k.mode == timesClock {
		shown, other = clock, since
	}
	return `<time class="at" datetime="` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `" title="` + html.EscapeString(other) + `">` + html.EscapeString(shown) + `</time>`
}

// sinceText is how long after the start something was: +0.412, +1:02.345, +1:00:02.345.
func sinceText(d time.Duration) string {
	d = max(d, 0) // the clocks of two machines
	h, m, s, ms := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60, int(d/time.Millisecond)%1000
	switch {
	case h > 0:
		return fmt.Sprintf("+%d:%02d:%02d.%03d", h, m, s, ms)
	case m > 0:
		return fmt.Sprintf("+%d:%02d.%03d", m, s, ms)
	}
	return fmt.Sprintf("+%d.%03d", s, ms)
}

// keep is what addresses in the log carry on.
func (k *logClock) keep() string {
	if k.mode == "" {
		return ""
	}
	return "&times=" + k.mode
}

// URL is an address of the log with the times as they are shown now.
func (v logPart) URL(query string) string { return v.Path + "?" + query + v.Keep }

// choice is one of several ways to look at a page.
type choice struct {
	Name any
	URL  string
	On   bool
}

// choices are the switch for times: links, that need no script. They stay at the place.
func (k *logClock) choices(path string, query url.Values) (all []choice) {
	for _, one := range []struct {
		mode string
		name words.Word
	}{{"", "No times"}, {timesSince, "Since start"}, {timesClock, "Clock"}} {
		values := url.Values{}
		for _, name := range []string{"at", "from", "tail", "find"} {
			if query.Has(name) {
				values.Set(name, query.Get(name))
			}
		}
		if one.mode != "" {
			values.Set("times", one.mode)
		}
		all = append(all, choice{one.name, (&url.URL{Path: path, RawQuery: values.Encode()}).String() + "#log-bar", k.mode == one.mode})
	}
	return all
}
