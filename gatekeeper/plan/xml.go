package plan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// EachXML calls found with every token of a report in XML. A document type that declares
// something is refused, so that there are no entities to expand, and so is what nests or is
// wider than reports do.
func EachXML(text []byte, found func(xml.Token) error) error {
	if tooWide(text) {
		return fmt.Errorf("an element has more than %d attributes", maxAttributes)
	}
	d, depth := xml.NewDecoder(bytes.NewReader(text)), 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			line, _ := d.InputPos()
			return fmt.Errorf("line %d is not well-formed XML, or the file is cut", line)
		}
		switch t := token.(type) {
		case xml.Directive:
			if bytes.ContainsAny(t, "[") {
				return errors.New("they declare a document type of their own, which is not read")
			}
		case xml.StartElement:
			if depth++; depth > maxXMLDepth {
				return fmt.Errorf("elements nest deeper than %d", maxXMLDepth)
			}
		case xml.EndElement:
			depth--
		}
		if err := found(token); err != nil {
			return err
		}
	}
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

// Attribute is the value of an attribute without a name space, "" for none.
func Attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}
