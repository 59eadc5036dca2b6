package syntax

import "strings"

// sink collects coloured stretches and cuts them into lines.
type sink struct {
	text  string
	from  int    // what is before is collected
	start int    // of the line that from stands in
	spans []Span // of all lines
	ends  []int  // how many spans there were at the end of each line
	begun bool   // the present line has a span
}

func newSink(text string) sink {
	return sink{text: text, spans: make([]Span, 0, len(text)/6+1), ends: make([]int, 0, len(text)/24+1)}
}

// emit adds [from, to) with a class, and what was passed over before it as ordinary text.
func (k *sink) emit(from, to int, class string) {
	if from > k.from {
		k.add(from, "")
	}
	k.add(to, class)
}

func (k *sink) add(to int, class string) {
	for k.from < to {
		end := to
		n := strings.IndexByte(k.text[k.from:to], '\n')
		if n >= 0 {
			end = k.from + n
		}
		if end > k.from {
			k.extend(end-k.start, class)
		}
		k.from = end
		if n >= 0 {
			k.from++
			k.start = k.from
			k.ends, k.begun = append(k.ends, len(k.spans)), false
		}
	}
}

// extend adds a span, or lets the last one grow when the style stays.
func (k *sink) extend(end int, class string) {
	if last := len(k.spans) - 1; k.begun && k.spans[last].Class == class {
		k.spans[last].End = end
		return
	}
	k.spans, k.begun = append(k.spans, Span{end, class}), true
}

// lines gives what was collected, line by line; what stands after the last "\n" is a line too.
func (k *sink) lines() [][]Span {
	k.add(len(k.text), "")
	all, from := make([][]Span, 0, len(k.ends)+1), 0
	for _, end := range append(k.ends, len(k.spans)) {
		all = append(all, k.spans[from:end:end])
		from = end
	}
	return all
}
