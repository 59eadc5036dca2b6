package web

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/web/words"
)

// figuresView is how fast and how well what lands comes to run.
type figuresView struct {
	placePage
	F       gatekeeper.Figures
	Envs    []linkView
	Spans   []linkView
	Plots   []plotView
	Nothing bool
}

// linkView is one of several choices.
type linkView struct {
	Name any // a string of somebody, or words of the page
	URL  string
	On   bool
}

// plotView is one figure: a number, a picture of its weeks and a table of them.
type plotView struct {
	ID           string
	Title, Means words.Word
	Value        any
	SVG          template.HTML
	Rows         []plotRow
}

type plotRow struct {
	Week  time.Time
	Day   string // that it begins with
	Value any
	Note  any
	high  float64 // of the bar
	bad   float64 // the part of it that failed
	none  bool
}

// figureSpans are the stretches of time that the page offers, in weeks.
var figureSpans = []int{4, 12, 26, 52}

func (w *Web) figures(c *call) error {
	p, err := w.placeOf(c, "figures")
	if err != nil {
		return err
	}
	v := figuresView{placePage: p}
	weeks, convErr := strconv.Atoi(c.query("weeks"))
	if convErr != nil {
		weeks = 12
	}
	all, err := w.Gate.Environments(c.ctx(), c.actor, p.Repo.Name, p.Branch)
	if v.None, err = noneWords(err); err != nil {
		return err
	}
	if v.None == "" {
		v.F, err = w.Gate.Figures(c.ctx(), c.actor, p.Repo.Name, p.Branch, c.query("environment"), weeks)
		if c.query("environment") != "" || c.query("weeks") != "" {
			if err != nil {
				return err
			}
		} else if v.None, err = noneWords(err); err != nil {
			return err
		}
	}
	address := func(environment string, weeks int) string {
		q := url.Values{"environment": {environment}, "weeks": {fmt.Sprint(weeks)}}
		if p.Branch != p.Repo.DefaultBranch {
			q.Set("branch", p.Branch)
		}
		return repoURL(p.Repo.Name, "figures") + "?" + q.Encode()
	}
	for _, e := range all {
		if e.Class == plan.Standing {
			v.Envs = append(v.Envs, linkView{e.Name, address(e.Name, weeks), e.Name == v.F.Environment})
		}
	}
	for _, n := range figureSpans {
		v.Spans = append(v.Spans, linkView{words.Plural(n, "week", "weeks"), address(v.F.Environment, n), n == weeks})
	}
	v.Nothing = v.F.All.Deploys == 0 && v.F.All.Changes == 0
	v.plot(w.speech(c).lang)
	return w.render(c, http.StatusOK, "figures", "Figures of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "environments")+p.Query()))
}

// plot makes the four figures that DORA names.
func (v *figuresView) plot(l *words.Language) {
	one := func(id string, title words.Word, value any, means words.Word, row func(f gatekeeper.Figure) plotRow, unit func(float64) any) {
		p := plotView{ID: id, Title: title, Value: value, Means: means}
		for _, f := range v.F.Weeks {
			r := row(f)
			r.Week, r.Day = f.From, day(l, f.From, "2 Jan 2006", time.DateOnly)
			p.Rows = append(p.Rows, r)
		}
		p.SVG = bars(l, title, p.Rows, unit)
		v.Plots = append(v.Plots, p)
	}
	one("lead", words.Word("Lead time"), known(v.F.All.Changes, lastedWords(v.F.All.LeadTime)), words.Word("from a commit's author date to its running, the median"), func(f gatekeeper.Figure) plotRow {
		return plotRow{Value: known(f.Changes, lastedWords(f.LeadTime)), Note: words.Plural(f.Changes, "change", "changes"), high: f.LeadTime, none: f.Changes == 0}
	}, lastedWords)
	one("deploys", words.Word("Deploys"), words.Say("{1} a week", fmt.Sprintf("%.1f", v.F.All.PerWeek)), words.Word("promotions that came to run, or failed to"), func(f gatekeeper.Figure) plotRow {
		var note any
		if f.Failures > 0 {
			note = words.Say("{1} failed", f.Failures)
		}
		return plotRow{Value: fmt.Sprint(f.Deploys), Note: note, high: float64(f.Deploys), bad: float64(f.Failures), none: f.Deploys == 0}
	}, func(n float64) any { return fmt.Sprintf("%.0f", n) })
	one("failures", words.Word("Change-fail rate"), known(v.F.All.Deploys, percent(v.F.All.FailRate)), words.Word("deploys that failed or were gone back from"), func(f gatekeeper.Figure) plotRow {
		return plotRow{Value: known(f.Deploys, percent(f.FailRate)), Note: words.Say("{1} of {2}", f.Failures, f.Deploys), high: f.FailRate, bad: f.FailRate, none: f.Deploys == 0 || f.Failures == 0}
	}, percent)
	restore := known(v.F.All.Restored, lastedWords(v.F.All.Restore))
	if v.F.All.Unrestored > 0 {
		restore = words.Say("{1}, {2} not yet", restore, v.F.All.Unrestored)
	}
	one("restore", words.Word("Time to restore"), restore, words.Word("from a failure to something running well again, the median"), func(f gatekeeper.Figure) plotRow {
		return plotRow{Value: known(f.Restored, lastedWords(f.Restore)), Note: words.Plural(f.Restored, "failure", "failures"), high: f.Restore, none: f.Restored == 0}
	}, lastedWords)
}

// day is a date as English has it, and in numbers in any other language.
func day(l *words.Language, t time.Time, english, other string) string {
	if l == nil {
		return t.Format(english)
	}
	return t.Format(other)
}

// known is a value, or a dash where it rests on nothing.
func known(of int, value any) any {
	if of == 0 {
		return "–"
	}
	return value
}

func percent(part float64) any { return fmt.Sprintf("%.0f %%", part*100) }

// lastedWords is a number of seconds as people say it.
func lastedWords(seconds float64) any {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return words.Say("{1} days", fmt.Sprintf("%.1f", d.Hours()/24))
}

// Sizes of a plot.
const (
	plotWidth  = 420
	plotHeight = 118
	plotLeft   = 2
	plotFoot   = 18
	plotHead   = 16
)

// bars draws the weeks of a figure as bars. What it shows the table beside it says: to who hears
// the page it is one picture with a name.
func bars(l *words.Language, title words.Word, rows []plotRow, unit func(float64) any) template.HTML {
	say := func(v any) string { return html.EscapeString(fmt.Sprint(l.Say(v))) }
	short := func(r plotRow) string { return day(l, r.Week, "2 Jan", "01-02") }
	most := 0.0
	for _, r := range rows {
		most = math.Max(most, r.high)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, say(words.Say("{1} by week, as the table says", title)))
	base := float64(plotHeight - plotFoot)
	fmt.Fprintf(&b, `<line class="rule" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth, base, base)
	if most > 0 {
		fmt.Fprintf(&b, `<line class="rule top" x1="%d" x2="%d" y1="%d" y2="%d"/><text class="most" x="%d" y="%d">%s</text>`,
			plotLeft, plotWidth, plotHead, plotHead, plotLeft, plotHead-5, say(unit(most)))
	}
	step := float64(plotWidth-plotLeft) / float64(max(1, len(rows)))
	wide := math.Max(2, step*0.62)
	for i, r := range rows {
		x := plotLeft + step*float64(i) + (step-wide)/2
		label := short(r) + ": " + say(r.Value)
		if r.Note != nil {
			label += ", " + say(r.Note)
		}
		fmt.Fprintf(&b, `<g><title>%s</title><rect class="hit" x="%.1f" y="%d" width="%.1f" height="%.1f"/>`, label, plotLeft+step*float64(i), plotHead, step, base-plotHead)
		if !r.none && most > 0 {
			high := math.Max(2, (base-plotHead)*r.high/most)
			fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5"/>`, x, base-high, wide, high)
			if r.bad > 0 {
				low := (base - plotHead) * r.bad / most
				fmt.Fprintf(&b, `<rect class="bar bad" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5"/>`, x, base-low, wide, low)
			}
		}
		b.WriteString("</g>")
	}
	if len(rows) > 0 {
		fmt.Fprintf(&b, `<text class="week" x="%d" y="%d">%s</text>`, plotLeft, plotHeight-4, short(rows[0]))
	}
	if last := len(rows) - 1; last > 0 {
		fmt.Fprintf(&b, `<text class="week" x="%d" y="%d" text-anchor="end">%s</text>`, plotWidth, plotHeight-4, short(rows[last]))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // made of numbers, and escaped
}
