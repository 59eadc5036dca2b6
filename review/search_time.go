package review

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/migrations/db"
)

var (
	ageText = regexp.MustCompile(`^([0-9]{1,6}) ?([a-z]+)$`)
	units   = map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour, "hour": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
		"mon": 30 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour, "year": 365 * 24 * time.Hour,
	}
)

func (c *compiler) time(n *node) (string, error) {
	if n.op == "age" {
		m := ageText.FindStringSubmatch(strings.ToLower(n.value))
		unit := time.Duration(0)
		if m != nil {
			unit = units[m[2]]
			if unit == 0 {
				unit = units[strings.TrimSuffix(m[2], "s")]
			}
		}
		if unit == 0 {
			return "", wrong(n.at, fmt.Sprintf("%q is no age", clip(n.value)), "write it as 30min, 12h, 2d, 3w, 1mon or 1y")
		}
		count, _ := strconv.Atoi(m[1]) // the pattern holds a few digits
		if time.Duration(count) > 200*units["y"]/unit {
			return "", wrong(n.at, "nothing here is so old", "write a smaller number")
		}
		return "c.updated_at <= " + c.arg(db.Micros(c.now.Add(-time.Duration(count)*unit))), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		t, err := time.Parse(layout, n.value)
		if err != nil {
			continue
		}
		if n.op == "before" {
			return "c.updated_at < " + c.arg(db.Micros(t)), nil
		}
		return "c.updated_at >= " + c.arg(db.Micros(t)), nil
	}
	return "", wrong(n.at, fmt.Sprintf("%q is no day", clip(n.value)), "write it as 2030-01-31 or \"2030-01-31 15:04\", in UTC")
}
