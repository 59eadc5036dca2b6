package notify

import (
	"fmt"
	"html/template"
	"strings"
)

// text is a letter as plain text.
func (l letter) text() string {
	var b strings.Builder
	if a := l.About; a != nil {
		fmt.Fprintf(&b, "%s\nChange %d in %s, for %s, patch set %d\n%s\n\n", a.Title, a.Number, a.Repo, a.Branch, a.PatchSet, l.URL)
	} else {
		fmt.Fprintf(&b, "%s\n%s\n\n", l.Subject, l.URL)
	}
	last := ""
	for _, e := range l.Entries {
		if l.About == nil && e.Change != last {
			fmt.Fprintf(&b, "%s\n%s\n\n", e.Change, e.URL)
			last = e.Change
		}
		fmt.Fprintf(&b, "* %s\n", e.line())
		if e.Message != "" {
			b.WriteString("\n" + indented(e.Message, "  ") + "\n")
		}
		for _, r := range e.Remarks {
			fmt.Fprintf(&b, "\n  %s\n%s\n", r.Where(), indented(r.Body, "    "))
		}
		b.WriteString("\n")
	}
	if l.Left > 0 {
		fmt.Fprintf(&b, "and %s more: %s\n\n", plural(l.Left, "notification", "notifications"), l.URL)
	}
	if l.About != nil && l.About.Message != "" {
		b.WriteString("The commit message:\n\n" + indented(l.About.Message, "  ") + "\n\n")
	}
	if l.Why != nil {
		b.WriteString("Where it stands: " + l.Why.Summary + "\n")
		for _, n := range l.Why.Needs {
			fmt.Fprintf(&b, "  %-14s %-8s %s\n", n.Name, n.State, n.Reason)
			if n.Who != "" {
				b.WriteString("                 who: " + n.Who + "\n")
			}
			if n.Next != "" {
				b.WriteString("                 next: " + n.Next + "\n")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("-- \n" + l.answer() + "\n")
	fmt.Fprintf(&b, "You get this mail because %s.\nStop %s: %s\nChoose what is mailed: %s\n", l.Reason, l.StopWhat, l.Stop, l.Settings)
	return b.String()
}

// answer says what becomes of an answer.
func (l letter) answer() string {
	if l.Answer != "" {
		return "An answer to this mail becomes a comment of yours. Keep its address to yourself. The page: " + l.URL
	}
	if l.ReplyTo == "" {
		return "Nobody reads answers to this mail: answer at " + l.URL
	}
	return "An answer to this mail goes to " + l.ReplyTo + " and not to the change: comment at " + l.URL
}

// line is an entry in one sentence.
func (e entry) line() string {
	who := e.Who
	if who == "" {
		who = "It"
		if e.Did == "" || !strings.HasPrefix(e.Did, "was ") && !strings.HasPrefix(e.Did, "landed ") && !strings.HasPrefix(e.Did, "needs ") {
			return capital(e.Did)
		}
	}
	return who + " " + e.Did
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func indented(text, margin string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(margin+line, " \t")
	}
	return strings.Join(lines, "\n")
}

// html is a letter as HTML. Mail programs know no style sheets; two colours serve light and dark.
func (l letter) html() (string, error) {
	var b strings.Builder
	if err := letterPage.Execute(&b, l); err != nil {
		return "", fmt.Errorf("notify: mail: %w", err)
	}
	return b.String(), nil
}

var letterPage = template.Must(template.New("letter").Funcs(template.FuncMap{"line": entry.line, "answer": letter.answer}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{{.Subject}}</title></head>
<body style="margin:0;padding:16px;font:14px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif">
<div style="max-width:680px">
{{- with .About}}
<h1 style="font-size:17px;margin:0 0 2px"><a href="{{$.URL}}">{{.Title}}</a></h1>
<p style="margin:0 0 16px;color:#6b7280">Change {{.Number}} in {{.Repo}}, for {{.Branch}}, patch set {{.PatchSet}}</p>
{{- else}}
<h1 style="font-size:17px;margin:0 0 16px"><a href="{{.URL}}">{{.Subject}}</a></h1>
{{- end}}
{{- range .Entries}}
<div style="margin:0 0 14px">
{{- if not $.About}}<p style="margin:0;color:#6b7280"><a href="{{.URL}}">{{.Change}}</a></p>{{end}}
<p style="margin:0 0 4px"><strong>{{line .}}</strong>{{if .Turn}} <span style="color:#b45309">· your turn</span>{{end}}</p>
{{- with .Message}}
<div style="white-space:pre-wrap;border-left:3px solid #9ca3af;padding-left:10px">{{.}}</div>{{end}}
{{- range .Remarks}}
<p style="margin:8px 0 2px;font-family:ui-monospace,monospace;font-size:13px">{{.Where}}</p>
<div style="white-space:pre-wrap;border-left:3px solid #9ca3af;padding-left:10px">{{.Body}}</div>{{end}}
</div>
{{- end}}
{{- if .Left}}<p>and {{.Left}} more on <a href="{{.URL}}">the page</a></p>{{end}}
{{- with .About}}{{with .Message}}
<p style="margin:0 0 4px;color:#6b7280">The commit message</p>
<pre style="white-space:pre-wrap;font-family:ui-monospace,monospace;font-size:13px;border-left:3px solid #9ca3af;padding-left:10px;margin:0 0 16px">{{.}}</pre>{{end}}{{end}}
{{- with .Why}}
<p style="margin:0 0 4px"><strong>Where it stands:</strong> {{.Summary}}</p>
{{- if .Needs}}
<table style="border-collapse:collapse;margin:0 0 16px">{{range .Needs}}
<tr><td style="padding:2px 12px 2px 0;vertical-align:top"><strong>{{.Name}}</strong></td><td style="padding:2px 12px 2px 0;vertical-align:top;color:#6b7280">{{.State}}</td><td style="padding:2px 0;vertical-align:top">{{.Reason}}{{if .Who}}<br>who: {{.Who}}{{end}}{{if .Next}}<br>next: {{.Next}}{{end}}</td></tr>{{end}}
</table>{{end}}{{end}}
<p style="font-size:12px;color:#6b7280;border-top:1px solid #9ca3af;padding-top:8px">{{answer .}}<br>You get this mail because {{.Reason}}. <a href="{{.Stop}}">Stop {{.StopWhat}}</a> · <a href="{{.Settings}}">Choose what is mailed</a></p>
</div></body></html>
`))
