package review

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
)

// MaxReason is the length in bytes of a reason for what is not the usual way.
const MaxReason = 1_000

// nodeName is the name of a stage, a gate or an outcome in a plan.
var nodeName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

func (o *PushOptions) setOutcome(value string) error {
	if !nodeName.MatchString(value) {
		return fault.New(fault.Invalid, "review.ParseOptions", fmt.Sprintf("%q is no name of an outcome", clip(value)), "the plan lists them: gate plan explain")
	}
	o.Outcome = value
	return nil
}

func (o *PushOptions) addBypass(value string) error {
	for _, node := range strings.Split(value, ",") {
		if node = strings.TrimSpace(node); !nodeName.MatchString(node) {
			return fault.New(fault.Invalid, "review.ParseOptions", fmt.Sprintf("%q is no name of a stage or a gate", clip(node)), "write bypass=NAME")
		}
		if !slices.Contains(o.Bypass, node) {
			o.Bypass = append(o.Bypass, node)
		}
	}
	return nil
}

func (o *PushOptions) setReason(value string) error {
	if value = strings.TrimSpace(value); len(value) > MaxReason {
		return fault.Newf(fault.TooLarge, "review.ParseOptions", "a reason has at most %d bytes", MaxReason)
	}
	o.Reason = value
	return nil
}
