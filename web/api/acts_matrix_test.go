package api_test

import (
	"maps"
	"time"

	"gatehouse/web/api"
)

func init() {
	maps.Copy(calls, map[string]call{
		"amend": plain(api.Amendment{PatchSet: 1, Message: "x"}), "rebase": plain(api.Rebasing{}), "cherry-pick": plain(api.Pick{Branch: "main"}),
		"revert": plain(api.Reason{}), "retarget": plain(api.Target{Branch: "main"}), "set-private": plain(api.Privacy{}),
		"replay-plan":  plain(api.PlanReplay{Since: time.Now().Add(-time.Hour)}),
		"set-hashtags": plain(api.Hashtags{Add: []string{"x"}}),
	})
}
