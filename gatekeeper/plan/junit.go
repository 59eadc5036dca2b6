package plan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// suiteCase names a failure that a suite counts and none of its tests shows.
const suiteCase = "(suite)"

// junitReader walks a JUnit file token by token; nothing of it is kept but the cases.
type junitReader struct {
	c      *collector
	suites []junitSuite
	test   *Case           // the testcase that is open
	text   strings.Builder // what its failures say
	inText bool            // inside of a failure
	testAt int             // the depth of the open testcase
	depth  int
	ended  bool
}

// junitSuite is an open testsuite or testsuites element.
type junitSuite struct {
	name  string
	said  int // failures and errors by its attributes
	found int // failures among its cases
}

// junit reads JUnit's XML. Document types are refused, so that there are no entities to
// expand. A suite whose attributes count more failures than its cases show counts as one more
// failed test: tools report so what happens outside of any test.
func (c *collector) junit(text []byte) error {
	if tooWide(text) {
		return fmt.Errorf("an element has more than %d attributes", maxAttributes)
	}
	r := &junitReader{c: c}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, _ := d.InputPos()
			return fmt.Errorf("line %d is not well-formed XML, or the file is cut", line)
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("they declare a document type, which is not read")
		case xml.StartElement:
			err = r.start(t)
		case xml.EndElement:
			err = r.end(t)
		case xml.CharData:
			r.chars(t)
		}
		if err != nil {
			return err
		}
	}
	if !r.ended {
		return errors.New("there is no testsuite in the file")
	}
	return nil
}

// tooWide looks for an element with too many attributes, by their equals signs: before the XML
// reader would gather them in memory.
func tooWide(text []byte) bool {
	others := [][2]string{{"!--", "-->"}, {"![CDATA[", "]]>"}, {"?", "?>"}} // what may hold anything
next:
	for {
		_, rest, found := bytes.Cut(text, []byte("<"))
		if !found {
			return false
		}
		for _, o := range others {
			if bytes.HasPrefix(rest, []byte(o[0])) {
				_, text, _ = bytes.Cut(rest[len(o[0]):], []byte(o[1]))
				continue next
			}
		}
		attributes, quote, i := 0, byte(0), 0
		for ; i < len(rest) && (quote != 0 || rest[i] != '>'); i++ {
			switch b := rest[i]; {
			case quote != 0:
				if b == quote {
					quote = 0
				}
			case b == '"' || b == '\'':
				quote = b
			case b == '=':
				attributes++
			}
		}
		if attributes > maxAttributes {
			return true
		}
		text = rest[i:]
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// number is a count or a time that a tool wrote; anything else is 0.
func number(text string) float64 {
	value, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		return 0
	}
	return value
}

func (r *junitReader) start(e xml.StartElement) error {
	r.depth++
	if r.depth > maxXMLDepth {
		return fmt.Errorf("elements nest deeper than %d", maxXMLDepth)
	}
	name := e.Name.Local
	if r.depth == 1 && (r.ended || name != "testsuites" && name != "testsuite") {
		return fmt.Errorf("a JUnit file holds one testsuites or testsuite element, not `%s`", clip(name))
	}
	switch {
	case r.test != nil:
		r.inTest(e)
	case name == "testsuites" || name == "testsuite":
		said := int(min(max(number(attribute(e, "failures")), 0)+max(number(attribute(e, "errors")), 0), MaxCases))
		r.suites = append(r.suites, junitSuite{name: attribute(e, "name"), said: said})
	case name == "testcase":
		r.test = &Case{Package: attribute(e, "classname"), Name: attribute(e, "name"), Status: CasePassed, Duration: seconds(number(attribute(e, "time")))}
		r.testAt = r.depth
		if status := attribute(e, "status"); status == "notrun" || status == "disabled" {
			r.test.Status = CaseSkipped
		}
	}
	return nil
}

// inTest takes in what a testcase says of itself.
func (r *junitReader) inTest(e xml.StartElement) {
	switch e.Name.Local {
	case "failure", "error":
		r.test.Status = CaseFailed
		r.inText = true
		r.say([]byte(attribute(e, "message")))
		r.say([]byte("\n"))
	case "skipped":
		if r.test.Status != CaseFailed {
			r.test.Status = CaseSkipped
		}
	}
}

func (r *junitReader) chars(t xml.CharData) {
	if r.inText {
		r.say(t)
	}
}

// say keeps what a failure says, within bounds.
func (r *junitReader) say(text []byte) {
	if room := 4*keptOutput - r.text.Len(); room > 0 {
		r.text.Write(text[:min(len(text), room)])
	}
}

func (r *junitReader) end(e xml.EndElement) error {
	r.depth--
	r.ended = r.ended || r.depth == 0
	switch name := e.Name.Local; {
	case r.test != nil && (name == "failure" || name == "error"):
		r.inText = false
	case r.test != nil && r.depth+1 == r.testAt:
		done := *r.test
		done.Output = r.text.String()
		r.test, r.inText = nil, false
		r.text.Reset()
		r.c.total += done.Duration
		if done.Status == CaseFailed && len(r.suites) > 0 {
			r.suites[len(r.suites)-1].found++
		}
		return r.c.add(done)
	case r.test == nil && (name == "testsuite" || name == "testsuites"):
		return r.endSuite()
	}
	return nil
}

func (r *junitReader) endSuite() error {
	last := len(r.suites) - 1
	s := r.suites[last]
	r.suites = r.suites[:last]
	var err error
	if s.said > s.found {
		s.found++
		err = r.c.add(Case{Package: s.name, Name: suiteCase, Status: CaseFailed, Output: "the suite counts failures that none of its tests shows\n"})
	}
	if last > 0 {
		r.suites[last-1].found += max(s.found, s.said)
	}
	return err
}
