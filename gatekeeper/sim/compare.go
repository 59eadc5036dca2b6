package sim

import "math"

// baseline is the policy that the others are measured against.
const baseline = "oracle"

// Ratio is how a policy did beside the oracle on the same trace: 1 is as the oracle. What is not
// a ratio is as in [Result].
type Ratio struct {
	Policy          string  `json:"policy"`
	P50             float64 `json:"p50"`
	P95             float64 `json:"p95"`
	P99             float64 `json:"p99"`
	Throughput      float64 `json:"throughput"`
	Cost            float64 `json:"cost"`
	BuildsPerChange float64 `json:"builds_per_change"`
	FalseRejections int     `json:"false_rejections"`
	DecisionUSP99   float64 `json:"decision_us_p99"`
	Unfinished      bool    `json:"unfinished"`
}

// Comparison is how policies did on one trace.
type Comparison struct {
	Trace   string   `json:"trace"`
	Workers int      `json:"workers"`
	Oracle  Result   `json:"oracle"`
	Results []Result `json:"results"`
	Ratios  []Ratio  `json:"ratios"`
}

// Compare plays a trace with each of the policies, and with the oracle.
func Compare(t *Trace, policies []string, workers int, o Options) (Comparison, error) {
	oracle, err := Run(t, baseline, workers, o)
	if err != nil {
		return Comparison{}, err
	}
	c := Comparison{Trace: t.Name, Workers: oracle.Workers, Oracle: oracle}
	for _, name := range policies {
		r := oracle
		if name != baseline {
			if r, err = Run(t, name, workers, o); err != nil {
				return Comparison{}, err
			}
		}
		c.Results = append(c.Results, r)
		c.Ratios = append(c.Ratios, r.beside(oracle))
	}
	return c, nil
}

func (r Result) beside(oracle Result) Ratio {
	return Ratio{
		Policy: r.Policy, P50: over(r.P50, oracle.P50), P95: over(r.P95, oracle.P95), P99: over(r.P99, oracle.P99),
		Throughput: over(r.LandedPerHour, oracle.LandedPerHour), Cost: over(r.PerLandedCost, oracle.PerLandedCost),
		BuildsPerChange: r.BuildsPerChange, FalseRejections: r.FalseRejections, DecisionUSP99: r.DecisionUSP99, Unfinished: r.Unfinished,
	}
}

// over is a ratio, 0 where there is none.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Means sums comparisons up, by policy in the order of the first: geometric means of the ratios
// and of the builds, the sum of the false rejections, the slowest of the decisions, and
// whether any run was unfinished.
func Means(all []Comparison) []Ratio {
	if len(all) == 0 {
		return nil
	}
	var means []Ratio
	for k, first := range all[0].Ratios {
		mean := Ratio{Policy: first.Policy}
		geometric := func(of func(r Ratio) float64) float64 {
			sum := 0.0
			for _, c := range all {
				sum += math.Log(of(c.Ratios[k]))
			}
			return math.Exp(sum / float64(len(all))) // 0 when one of them is
		}
		mean.P50 = geometric(func(r Ratio) float64 { return r.P50 })
		mean.P95 = geometric(func(r Ratio) float64 { return r.P95 })
		mean.P99 = geometric(func(r Ratio) float64 { return r.P99 })
		mean.Throughput = geometric(func(r Ratio) float64 { return r.Throughput })
		mean.Cost = geometric(func(r Ratio) float64 { return r.Cost })
		mean.BuildsPerChange = geometric(func(r Ratio) float64 { return r.BuildsPerChange })
		for _, c := range all {
			mean.FalseRejections += c.Ratios[k].FalseRejections
			mean.DecisionUSP99 = max(mean.DecisionUSP99, c.Ratios[k].DecisionUSP99)
			mean.Unfinished = mean.Unfinished || c.Ratios[k].Unfinished
		}
		means = append(means, mean)
	}
	return means
}
