package web

import (
	"bytes"
	"context"
	"html/template"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tasks "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	gohtml "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"gatehouse/gitserver/git"
)

const (
	// maxMarkdown is the largest document that is rendered; beyond it a reader gets the source.
	maxMarkdown = 256 << 10
	// maxTyped is the same for what somebody typed: one of many texts on a page.
	maxTyped = 8 << 10
	// textBudget is what the texts of a page may take together. Some Markdown takes time that
	// grows with the square of its length; what comes after the budget is shown as it is.
	textBudget = 1500 * time.Millisecond
	// maxSlowTexts is how many documents are rendered at once, those included that take longer
	// than the budget and are finished in the background.
	maxSlowTexts = 4
	// maxTextCache is how many bytes of rendered documents are kept.
	maxTextCache = 16 << 20
)

// place is where a Markdown document stands, so that its relative links lead somewhere. The
// zero value is nowhere: a comment.
type place struct {
	Repo string // the repository's name
	Rev  string // branch, tag or commit
	Dir  string // the document's folder, "" at the root
}

// link is the address of target, relative to the document, under the page kind ("tree", "raw").
// It cannot leave the repository.
func (p place) link(kind, target string) string {
	full := path.Join("/", p.Dir, target)
	if strings.HasPrefix(target, "/") {
		full = path.Join("/", target)
	}
	return repoURL(p.Repo, kind, p.Rev, strings.TrimPrefix(full, "/"))
}

// sanitiser is the last word on what rendered Markdown may hold. goldmark leaves raw HTML
// out already; this stands behind it in case one of the two has a hole.
var sanitiser = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "del",
		"ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "i", "span")
	p.AllowAttrs("id").Matching(regexp.MustCompile(`^md-[a-z0-9_-]{1,80}$`)).OnElements("h1", "h2", "h3", "h4", "h5", "h6")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^(kt|k|nf|nc|nb|nt|na|s|m|c|gh|ge|gs|hid|task)$`)).OnElements("i", "span")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^mention$`)).OnElements("a")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|right|center)$`)).OnElements("th", "td")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src", "alt").OnElements("img")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireNoFollowOnLinks(true)
	p.RequireParseableURLs(true)
	return p
}()

// markdown renders a text that anybody may have written. Raw HTML is left out of documents and
// shown as text in what somebody typed, where it is the `vector<int>` of a sentence; links stay
// inside http, https and mailto, pictures inside this server, hidden characters are marked.
// With a place the text is a document of a repository; without, it is what somebody typed,
// and its line breaks count.
func markdown(ctx context.Context, source string, at place) template.HTML {
	return rendered(ctx, source, at, nil)
}

// typed is [markdown] for what somebody typed; those who are called in it with @name become
// links.
func typed(ctx context.Context, source string, called people) template.HTML {
	return rendered(ctx, source, place{}, called)
}

func rendered(ctx context.Context, source string, at place, called people) (html template.HTML) {
	defer func() {
		if recover() != nil { // a bug in the parser must not cost the page
			html = asTyped(source)
		}
	}()
	source = strings.ReplaceAll(source, "\r\n", "\n")
	most := maxMarkdown
	if at == (place{}) {
		most = maxTyped
	}
	if len(source) > most || ctx.Err() != nil {
		return asTyped(source)
	}
	options := []renderer.Option{renderer.WithNodeRenderers(util.Prioritized(blockRenderer{ctx}, 100))}
	if at == (place{}) {
		options = append(options, gohtml.WithHardWraps(), renderer.WithNodeRenderers(util.Prioritized(bareRenderer{}, 90)))
	}
	parsing := []parser.Option{parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(linkRewriter{at}, 100))}
	if len(called) > 0 {
		parsing = append(parsing, parser.WithInlineParsers(util.Prioritized(mentionParser{called}, 50)))
	}
	engine := goldmark.New(
		goldmark.WithExtensions(extension.Linkify, extension.Strikethrough, extension.TaskList,
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
		goldmark.WithParserOptions(parsing...),
		goldmark.WithRendererOptions(options...),
	)
	state := parser.NewContext(parser.WithIDs(&headingIDs{seen: map[string]int{}}))
	var out bytes.Buffer
	if err := engine.Convert([]byte(source), &out, parser.WithContext(state)); err != nil {
		return asTyped(source)
	}
	return template.HTML(plain(string(sanitiser.SanitizeBytes(out.Bytes())))) //nolint:gosec // sanitised
}

// asTyped is a text as it was written.
func asTyped(source string) template.HTML { return `<pre class="typed">` + visible(source) + "</pre>" }

// document renders a file of a repository. One that takes too long is shown as it was typed
// and finished in the background, for the next reader.
func (w *Web) document(ctx context.Context, oid git.OID, source string, at place) template.HTML {
	key := strings.Join([]string{string(oid), at.Repo, at.Rev, at.Dir}, "\x00")
	if html, ok := w.texts.get(key); ok {
		return html
	}
	patience, cancel := context.WithTimeout(ctx, textBudget)
	defer cancel()
	select {
	case w.slow <- struct{}{}:
	case <-patience.Done():
		return asTyped(source)
	}
	ready := make(chan template.HTML, 1)
	go func() {
		defer func() { <-w.slow }()
		html := markdown(context.WithoutCancel(ctx), source, at)
		w.texts.put(key, len(source)+len(html), html)
		ready <- html
	}()
	select {
	case html := <-ready:
		return html
	case <-patience.Done():
		return asTyped(source)
	}
}

// headingIDs gives headings ids of their own prefix, so that none collides with the page's.
type headingIDs struct{ seen map[string]int }

// Generate implements [parser.IDs].
func (h *headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := "md-" + strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		}
		return -1
	}, string(value)), "-")
	id = id[:min(len(id), 70)]
	if h.seen[id]++; h.seen[id] > 1 {
		id += "-" + strconv.Itoa(h.seen[id])
	}
	return []byte(id)
}

// Put implements [parser.IDs].
func (h *headingIDs) Put(value []byte) { h.seen[string(value)]++ }

// linkRewriter points relative links and pictures into the repository. A picture from
// elsewhere becomes a link to it: the page's policy would not load it, and loading it would
// tell its owner who reads.
type linkRewriter struct{ at place }

// Transform implements [parser.ASTTransformer].
func (l linkRewriter) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var pictures []*ast.Image
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the closure has no errors
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			n.Destination = []byte(l.resolve(string(n.Destination), "tree"))
		case *ast.Image:
			pictures = append(pictures, n)
		}
		return ast.WalkContinue, nil
	})
	for _, p := range pictures {
		address := string(p.Destination)
		if local := l.resolve(address, "raw"); local != address {
			p.Destination = []byte(local)
			continue
		}
		link := ast.NewLink()
		link.Destination = p.Destination
		words := altText(p, reader.Source())
		link.AppendChild(link, ast.NewString([]byte("picture: "+words)))
		p.Parent().ReplaceChild(p.Parent(), p, link)
	}
}

// altText is a picture's description.
func altText(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(source))
		}
	}
	if b.Len() == 0 {
		return "no description"
	}
	return b.String()
}

// resolve makes a relative address absolute; any other it returns as it is.
func (l linkRewriter) resolve(address, kind string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.IsAbs(), u.Host != "", l.at == place{}:
		return address
	case u.Path == "":
		return "#md-" + strings.TrimPrefix(u.Fragment, "md-")
	}
	out := l.at.link(kind, u.Path)
	switch fragment := url.PathEscape(u.Fragment); {
	case fragment == "":
		return out
	case isMarkdown(u.Path):
		return out + "#md-" + strings.TrimPrefix(fragment, "md-")
	default:
		return out + "#" + fragment
	}
}

// blockRenderer writes fenced code with colours, and task boxes as text: a form control that
// does nothing would only mislead.
type blockRenderer struct{ ctx context.Context } //nolint:containedctx // lives for one rendering

// RegisterFuncs implements [renderer.NodeRenderer].
func (b blockRenderer) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	reg.Register(ast.KindFencedCodeBlock, b.code)
	reg.Register(tasks.KindTaskCheckBox, b.task)
	reg.Register(kindMention, b.mention)
}

// bareRenderer writes raw HTML as the text that it is.
type bareRenderer struct{}

// RegisterFuncs implements [renderer.NodeRenderer].
func (b bareRenderer) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	reg.Register(ast.KindRawHTML, b.inline)
	reg.Register(ast.KindHTMLBlock, b.block)
}

func (bareRenderer) inline(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	segments := node.(*ast.RawHTML).Segments
	for i := range segments.Len() {
		segment := segments.At(i)
		if _, err := w.Write(util.EscapeHTML(segment.Value(source))); err != nil {
			return ast.WalkStop, err
		}
	}
	return ast.WalkSkipChildren, nil
}

func (bareRenderer) block(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.HTMLBlock)
	var text strings.Builder
	for i := range n.Lines().Len() {
		segment := n.Lines().At(i)
		text.Write(segment.Value(source))
	}
	if n.HasClosure() {
		text.Write(n.ClosureLine.Value(source))
	}
	lines := strings.ReplaceAll(string(util.EscapeHTML([]byte(strings.TrimRight(text.String(), "\n")))), "\n", "<br>\n")
	_, err := w.WriteString("<p>" + lines + "</p>\n")
	return ast.WalkSkipChildren, err
}

func (b blockRenderer) code(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.FencedCodeBlock)
	var body strings.Builder
	for i := range n.Lines().Len() {
		segment := n.Lines().At(i)
		body.Write(segment.Value(source))
	}
	code := strings.TrimSuffix(body.String(), "\n")
	colors := highlightAs(b.ctx, string(n.Language(source)), code)
	var out strings.Builder
	for i, line := range strings.Split(code, "\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		writeCode(&out, line, colors.line(i+1, line), nil)
	}
	_, err := w.WriteString("<pre><code>" + out.String() + "</code></pre>\n")
	return ast.WalkSkipChildren, err
}

func (b blockRenderer) task(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	box := `<span class="task">☐</span> `
	if node.(*tasks.TaskCheckBox).IsChecked {
		box = `<span class="task">☑</span> `
	}
	_, err := w.WriteString(box)
	return ast.WalkContinue, err
}
