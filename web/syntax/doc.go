// Package syntax colours source text in the languages that most code is written in, in one pass.
//
// A general lexer tries regular expressions at every word and takes longer than everything
// else that a page needs; the scanner in here looks at each byte about once, so that a diff of
// thousands of lines is coloured while its reader does not notice. It knows comments, strings,
// numbers, keywords, types and the names of functions, which is all that the pages tell apart.
// What it does not know ([Colour] says so) is for the general lexer.
//
// Invariants:
//
//   - The spans of a line are in order, none is empty, and the last one ends where the line
//     ends, without its "\n". An empty line has none.
//   - The time is linear in the text, whatever the text is: every search for an end either
//     consumes what it looked at, or is not tried again on that line.
//   - Text is never changed, left out or taken for anything but text: a mistake costs a colour.
package syntax
