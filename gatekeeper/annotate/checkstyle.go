package annotate

import (
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/plan"
)

// checkstyle reads the XML that Checkstyle and many linters write: errors in files.
func (c *Collector) checkstyle(text []byte, tree Tree) error {
	path, depth, known := "", 0, false
	err := plan.EachXML(text, func(token xml.Token) error {
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && t.Name.Local != "checkstyle":
				return errors.New("a checkstyle file holds one checkstyle element")
			case t.Name.Local == "file":
				path, known = tree.Path(plan.Attribute(t, "name")), true
			case t.Name.Local == "error" && known:
				return c.add(checkstyleError(t, path))
			}
		case xml.EndElement:
			if depth--; t.Name.Local == "file" {
				known = false
			}
		}
		return nil
	})
	return err
}

func checkstyleError(e xml.StartElement, path string) Annotation {
	a := Annotation{Path: path, Line: decimal(plan.Attribute(e, "line")), Column: decimal(plan.Attribute(e, "column")), Message: plan.Attribute(e, "message")}
	switch plan.Attribute(e, "severity") {
	case "error", "":
		a.Severity = Error
	case "warning":
		a.Severity = Warning
	default: // info; "ignore" is not written
		a.Severity = Notice
	}
	// "com.puppycrawl.tools.checkstyle.checks.naming.ConstantNameCheck", or "eslint.rules.no-undef"
	source := plan.Attribute(e, "source")
	a.Tool, a.Rule = "checkstyle", source
	if at := strings.LastIndexByte(source, '.'); at >= 0 {
		a.Rule = source[at+1:]
		if first, _, _ := strings.Cut(source, "."); first != "com" {
			a.Tool = first
		}
	}
	return a
}

// decimal is a number that a tool wrote, 0 for nonsense.
func decimal(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > MaxLine {
		return 0
	}
	return n
}
