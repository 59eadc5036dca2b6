package plan

import (
	"encoding/xml"
	"errors"
	"fmt"
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

// junit reads JUnit's XML. A suite whose attributes count more failures than its cases show counts as one more
// failed test: tools report so what happens outside of any test.
func (c *collector) junit(text []byte) error {
	r := &junitReader{c: c}
	err := EachXML(text, func(token xml.Token) error {
		switch t := token.(type) {
		case xml.StartElement:
			return r.start(t)
		case xml.EndElement:
			return r.end(t)
		case xml.CharData:
			r.chars(t)
		}
		return nil
	})
	if err == nil && !r.ended {
		return errors.New("there is no testsuite in the file")
	}
	return err
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
	name := e.Name.Local
	if r.depth == 1 && (r.ended || name != "testsuites" && name != "testsuite") {
		return fmt.Errorf("a JUnit file holds one testsuites or testsuite element, not `%s`", clip(name))
	}
	switch {
	case r.test != nil:
		r.inTest(e)
	case name == "testsuites" || name == "testsuite":
		said := int(min(max(number(Attribute(e, "failures")), 0)+max(number(Attribute(e, "errors")), 0), MaxCases))
		r.suites = append(r.suites, junitSuite{name: Attribute(e, "name"), said: said})
	case name == "testcase":
		r.test = &Case{Package: Attribute(e, "classname"), Name: Attribute(e, "name"), Status: CasePassed, Duration: seconds(number(Attribute(e, "time")))}
		r.testAt = r.depth
		if status := Attribute(e, "status"); status == "notrun" || status == "disabled" {
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
		r.say([]byte(Attribute(e, "message")))
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
