package web

import "html/template"

// shapes are the signs of the pages: 16 by 16, one stroke, drawn for this project.
var shapes = map[string]string{
	"good":    `<circle cx="8" cy="8" r="6.25"/><path d="m5.2 8.2 2 2 3.6-4.2"/>`,
	"done":    `<path d="M2.75 14.25v-6a5.25 5.25 0 0 1 10.5 0v6"/><path d="m5.4 9.2 2 2 3.4-4"/>`,
	"bad":     `<circle cx="8" cy="8" r="6.25"/><path d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4"/>`,
	"busy":    `<circle cx="8" cy="8" r="6.25" stroke-dasharray="3 2.6"/><path d="M8 4.8V8l2.2 1.6"/>`,
	"wait":    `<circle cx="8" cy="8" r="6.25"/><path d="M8 4.5V8l2.4 1.5"/>`,
	"calm":    `<circle cx="8" cy="8" r="6.25"/><path d="M5.2 8h5.6"/>`,
	"branch":  `<circle cx="4.5" cy="3.5" r="1.75"/><circle cx="4.5" cy="12.5" r="1.75"/><circle cx="11.5" cy="5" r="1.75"/><path d="M4.5 5.25v5.5M11.5 6.75c0 2.4-2.6 2.6-4.5 3-1.3.3-2.2.8-2.5 1.5"/>`,
	"tag":     `<path d="M2.5 2.5h5l6 6-5 5-6-6z"/><circle cx="5.4" cy="5.4" r=".9"/>`,
	"commit":  `<circle cx="8" cy="8" r="2.75"/><path d="M1.5 8h3.75m5.5 0h3.75"/>`,
	"file":    `<path d="M3.75 1.75h5.5l3 3v9.5h-8.5zM9 2v3h3"/>`,
	"folder":  `<path d="M1.75 3.25h4.5l1.5 1.75h6.5v8.25H1.75z"/>`,
	"repo":    `<path d="M3.25 13.25V3.5c0-1 .75-1.75 1.75-1.75h7.75v9.5H5c-1 0-1.75.9-1.75 2s.75 1 1.75 1h7.75v-3"/>`,
	"lock":    `<rect x="3.25" y="7" width="9.5" height="7" rx="1"/><path d="M5.25 7V4.75a2.75 2.75 0 0 1 5.5 0V7"/>`,
	"key":     `<circle cx="5" cy="11" r="2.75"/><path d="m7 9 6-6m-2 2 1.75 1.75M9.5 6.5 11 8"/>`,
	"comment": `<path d="M1.75 2.75h12.5v8.5H7.5l-3 3v-3H1.75z"/>`,
	"mirror":  `<path d="M2 6.25h10.5L9.75 3.5M14 9.75H3.5l2.75 2.75"/>`,
	"menu":    `<path d="M2 4h12M2 8h12M2 12h12"/>`,
	"queue":   `<path d="M2 4h12M2 8h12M2 12h7"/><path d="m11.5 10.5 2 1.5-2 1.5"/>`,
	"people":  `<circle cx="6" cy="5.25" r="2.5"/><path d="M1.5 13.5c.3-2.6 2-4.2 4.5-4.2s4.2 1.6 4.5 4.2M10.75 2.9a2.5 2.5 0 0 1 0 4.7M12 9.6c1.5.6 2.3 2 2.5 3.9"/>`,
	"warn":    `<path d="M8 1.9 14.7 13.75H1.3zM8 6.25v3.5m0 1.75v.6"/>`,
	"arrow":   `<path d="M3 8h9.5M9 4.25 12.75 8 9 11.75"/>`,
	"back":    `<path d="M13 8H3.5M7 4.25 3.25 8 7 11.75"/>`,
	"up":      `<path d="M8 13V3.5M4.25 7.25 8 3.5l3.75 3.75"/>`,
	"bell":    `<path d="M8 1.75a4 4 0 0 1 4 4c0 4 1.75 5.5 1.75 5.5H2.25S4 9.75 4 5.75a4 4 0 0 1 4-4zM6.5 13.5a1.6 1.6 0 0 0 3 0"/>`,
	"mail":    `<path d="M1.75 3.25h12.5v9.5H1.75zM2 3.75l6 4.75 6-4.75"/>`,
	"link":    `<path d="M6.75 9.25 9.25 6.75M7 4.5l1.5-1.5a3.18 3.18 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3.18 3.18 0 0 1 3 8.5L4.5 7"/>`,
	"star":    `<path d="m8 1.9 1.9 3.9 4.3.6-3.1 3 .7 4.2L8 11.6l-3.8 2 .7-4.2-3.1-3 4.3-.6z"/>`,
	"eye":     `<path d="M1.25 8C2.8 5.2 5.2 3.75 8 3.75S13.2 5.2 14.75 8c-1.55 2.8-3.95 4.25-6.75 4.25S2.8 10.8 1.25 8z"/><circle cx="8" cy="8" r="2"/>`,
	"find":    `<circle cx="7" cy="7" r="4.5"/><path d="m10.3 10.3 3.7 3.7"/>`,
	"gear":    `<circle cx="8" cy="8" r="2.25"/><path d="M8 1.5v2m0 9v2M1.5 8h2m9 0h2M3.4 3.4l1.4 1.4m6.4 6.4 1.4 1.4m0-9.2-1.4 1.4M4.8 11.2l-1.4 1.4"/>`,
}

// icon draws a sign. It is decoration beside a word, so screen readers skip it.
func icon(name string) template.HTML {
	shape, ok := shapes[name]
	if !ok {
		panic("web: no icon " + name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">` + shape + `</svg>`) //nolint:gosec // constant
}

// brandMark is the mark in the colours of the page: an arch, a gate half up, and what waits
// below it.
const brandMark template.HTML = `<svg class="brandmark" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">` +
	`<path d="M4.5 28V14.5a11.5 11.5 0 0 1 23 0V28M2.5 28h6m15 0h6"/><path d="M11.5 12.5V20m9-7.5V20M16 10.5V15m-4.5 1.25h9"/><circle cx="16" cy="25" r="3"/></svg>`
