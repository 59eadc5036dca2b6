package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// days are the names of the days, from [monday] on.
var days = []string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}

const clockLayout = dayLayout + " 15:04"

var (
	// windowText is a window in its one spelling, looseText what people write in its place.
	windowText = regexp.MustCompile(`^([A-Z]{3}|[0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})-([A-Z]{3}|[0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})$`)
	looseText  = regexp.MustCompile(`^ *([A-Za-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2})[ ,T]+([0-9]{1,2})(?:[:.]([0-9]{2}))? *(?:-|–|—|to) *([A-Za-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2})[ ,T]+([0-9]{1,2})(?:[:.]([0-9]{2}))? *$`)
	// zoneText keeps names of time zones from naming anything but one.
	zoneText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)
)

const (
	windowFix = "write `deny: \"FRI 15:00-MON 08:00\"` for every week, or `deny: \"2026-12-24 00:00-2027-01-02 00:00\"` for once"
	zoneFix   = "write a name of the IANA's list, such as `tz: Europe/Berlin` or `tz: UTC`"
)

// freezes reads a list of windows. at is its path in the file, never what would never happen if
// they left no gap.
func (r *reader) freezes(n *yaml.Node, at, never string) []Freeze {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.bad(n, "write `freeze: [{deny: \"FRI 15:00-MON 08:00\", tz: Europe/Berlin}]`", "`freeze` must be a list")
		return nil
	case len(n.Content) == 0:
		r.bad(n, "remove it", "`freeze` is empty")
	case len(n.Content) > MaxFreezes:
		r.bad(n, "", "`freeze` has %d items; at most %d are allowed", len(n.Content), MaxFreezes)
		return nil
	}
	var all, weekly []Freeze
	for i, item := range n.Content {
		f, ok := r.freeze(item, fmt.Sprintf("%s.%d", at, i))
		if !ok {
			continue
		}
		all = append(all, f)
		if f.weekly {
			weekly = append(weekly, f)
		}
	}
	if thaw(weekly, monday, 2*week).IsZero() {
		r.bad(n, "leave a gap between the windows", "nothing would ever %s: the windows cover the whole week", never)
	}
	return all
}

func (r *reader) freeze(n *yaml.Node, at string) (f Freeze, ok bool) {
	f = Freeze{TZ: "UTC", zone: time.UTC, Line: n.Line}
	before, hasDeny := len(r.problems), false
	r.fields(n, "`freeze`", at, map[string]field{
		"deny":   func(n *yaml.Node) { hasDeny = true; r.deny(n, &f) },
		"tz":     func(n *yaml.Node) { r.zone(n, &f) },
		"reason": func(n *yaml.Node) { f.Reason, _ = r.text(n, "`reason` of a freeze") },
	}, nil)
	if !hasDeny && n.Kind == yaml.MappingNode {
		r.bad(n, windowFix, "this freeze does not say when")
	}
	return f, len(r.problems) == before
}

func (r *reader) deny(n *yaml.Node, f *Freeze) {
	text, ok := r.text(n, "`deny` of a freeze")
	if !ok {
		return
	}
	f.Deny = text
	problem := f.window(text)
	if problem == "" {
		return
	}
	fix := windowFix
	if tidy := tidyWindow(text); tidy != text && new(Freeze).window(tidy) == "" {
		fix = "write `deny: \"" + tidy + "\"`"
	}
	r.bad(n, fix, "`%s`: %s", clip(text), problem)
}

// window reads a window's text into f, and says what is wrong with it.
func (f *Freeze) window(text string) (problem string) {
	m := windowText.FindStringSubmatch(text)
	if m == nil {
		return "a freeze is from a day and a time to a day and a time"
	}
	from, fromDay := slices.Index(days, m[1]), m[1]
	to, toDay := slices.Index(days, m[3]), m[3]
	f.weekly = from >= 0
	if (from >= 0) != (to >= 0) {
		return "both ends are days of the week, or both are dates"
	}
	if f.weekly {
		fromDay = monday.Add(time.Duration(from) * day).Format(dayLayout)
		toDay = monday.Add(time.Duration(to) * day).Format(dayLayout)
	}
	var err error
	for _, end := range []struct {
		at   *time.Time
		text string
	}{{&f.from, fromDay + " " + m[2]}, {&f.to, toDay + " " + m[4]}} {
		if *end.at, err = time.Parse(clockLayout, end.text); err != nil {
			return "there is no such day or time; hours are 00 to 23"
		}
	}
	switch {
	case f.from.Equal(f.to):
		return "it ends when it begins"
	case f.weekly && f.to.Before(f.from):
		f.to = f.to.Add(week)
	case f.to.Before(f.from):
		return "it ends before it begins"
	}
	return ""
}

// tidyWindow turns what people write into the one spelling: names of days in full or in small
// letters, hours of one digit or without minutes, 24:00, blanks around the dash.
func tidyWindow(text string) string {
	m := looseText.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	end := func(date, hour, minute string) string {
		if minute == "" {
			minute = "00"
		}
		if len(hour) == 1 {
			hour = "0" + hour
		}
		name := strings.ToUpper(date)
		if i := slices.IndexFunc(days, func(d string) bool { return strings.HasPrefix(name, d) }); i >= 0 {
			if name = days[i]; hour+minute == "2400" {
				name, hour = days[(i+1)%len(days)], "00"
			}
		} else if d, err := time.Parse(dayLayout, date); err == nil && hour+minute == "2400" {
			name, hour = d.Add(day).Format(dayLayout), "00"
		}
		return name + " " + hour + ":" + minute
	}
	return end(m[1], m[2], m[3]) + "-" + end(m[4], m[5], m[6])
}

func (r *reader) zone(n *yaml.Node, f *Freeze) {
	name, ok := r.text(n, "`tz` of a freeze")
	if !ok {
		return
	}
	zone, err := loadZone(name)
	if err == nil {
		f.TZ, f.zone = name, zone
		return
	}
	fix := zoneFix
	for _, tidy := range []string{titleWords(name), strings.ToUpper(name)} {
		if _, err := loadZone(tidy); err == nil {
			fix = "did you mean `" + tidy + "`?"
			break
		}
	}
	r.bad(n, fix, "`%s` is no time zone", clip(name))
}

// loadZone is time.LoadLocation without the names that mean the server's own zone.
func loadZone(name string) (*time.Location, error) {
	if !zoneText.MatchString(name) || name == "Local" {
		return nil, fmt.Errorf("plan: %q is no name of a time zone", name)
	}
	return time.LoadLocation(name)
}

// titleWords is a name of a time zone with large first letters: europe/berlin to Europe/Berlin.
func titleWords(name string) string {
	text := []byte(strings.ToLower(strings.ReplaceAll(name, " ", "_")))
	for i, c := range text {
		first := i == 0 || text[i-1] == '/' || text[i-1] == '_' || text[i-1] == '-'
		if first && 'a' <= c && c <= 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	return string(text)
}
