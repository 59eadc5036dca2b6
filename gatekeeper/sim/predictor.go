package sim

import "math"

const (
	// warmRounds are enough for the weights of a history to settle; each goes half the way that a
	// Newton step along one weight would, because the weights share the blame.
	warmRounds = 60
	warmPace   = .5
	// doubtAuthor and doubt are the variances of the weights before anything is known: authors
	// differ a lot, the rest moves little.
	doubtAuthor = .3
	doubt       = .25
	// usual is the logarithm of the odds that a change passes before anything is known, usualSize
	// and usualModules the middle of the features.
	usual        = 2.5
	usualSize    = 5
	usualModules = 1.5
)

// predictor is a logistic regression of whether a change passes alone, by its author, its size and
// how many modules it touches. It is fitted to a history, and then learns from every outcome as much as
// what it knows already leaves open (one Newton step along each weight, as in online Laplace).
type predictor struct {
	weight, precision [features]float64
	author            map[int]*estimate
}

// features are those that every change has: the constant, the size, the number of modules.
const features = 3

// estimate is a weight and how sure it is, as one over its variance.
type estimate struct{ weight, precision float64 }

func newPredictor(history []Change) *predictor {
	p := &predictor{author: map[int]*estimate{}}
	p.weight[0] = usual
	for range warmRounds {
		p.fit(history)
	}
	return p
}

func look(c Change) [features]float64 {
	return [features]float64{1, (c.Size - usualSize) / usualSize, float64(len(c.Modules)) - usualModules}
}

// passes is the probability that a change passes.
func (p *predictor) passes(c Change) float64 {
	score := p.by(c.Author).weight
	for k, x := range look(c) {
		score += p.weight[k] * x
	}
	return 1 / (1 + math.Exp(-score))
}

func (p *predictor) by(author int) *estimate {
	if p.author[author] == nil {
		p.author[author] = &estimate{precision: 1 / float64(doubtAuthor)}
	}
	return p.author[author]
}

// fit moves all weights towards those most likely to have made the history.
func (p *predictor) fit(history []Change) {
	var slope [features]float64
	slopes := map[int]float64{}
	for k := range p.precision {
		p.precision[k] = 1 / doubt
		slope[k] = -p.weight[k] / doubt
	}
	slope[0] = -(p.weight[0] - usual) / doubt
	for a, e := range p.author {
		e.precision = 1 / float64(doubtAuthor)
		slopes[a] = -e.weight * e.precision
	}
	for _, c := range history {
		passes := p.passes(c)
		off, bend := float64(c.OK)-passes, passes*(1-passes)
		for k, x := range look(c) {
			slope[k] += off * x
			p.precision[k] += bend * x * x
		}
		slopes[c.Author] += off
		p.by(c.Author).precision += bend
	}
	for k := range slope {
		p.weight[k] += warmPace * slope[k] / p.precision[k]
	}
	for a, s := range slopes {
		p.author[a].weight += warmPace * s / p.author[a].precision
	}
}

// learn takes one outcome in.
func (p *predictor) learn(c Change, passed bool) {
	passes := p.passes(c)
	off, bend := -passes, passes*(1-passes)
	if passed {
		off++
	}
	for k, x := range look(c) {
		p.precision[k] += bend * x * x
		p.weight[k] += off * x / p.precision[k]
	}
	e := p.by(c.Author)
	e.precision += bend
	e.weight += off / e.precision
}
