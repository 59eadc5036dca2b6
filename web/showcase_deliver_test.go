package web

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/promote"
)

// shopShowcase is a shop after five weeks of deliveries: one was bad and went back by itself, one
// waits for approval in a freeze, one is being deployed, and a change has a preview without its
// tests.
func shopShowcase(t testing.TB) *world {
	t.Helper()
	w, r := shop(t)
	ctx := context.Background()
	const day = 24 * time.Hour
	w.pass(-36 * day)
	w.sail(r, "Sell by the dozen", "one")
	w.pass(3 * day)
	w.sail(r, "Show prices with tax", "two")
	w.pass(4 * day)

	bad := w.offer(r, "alice", "Keep the basket for a day", "three")
	w.land(bad)
	w.runsIn("staging", bad)
	broken := w.environments()[1].Current.Digest
	w.ship.driver.Tell(func(s assembly.Spec) error {
		if s.Environment == "production" && s.Digest == broken {
			return never(s)
		}
		if s.Environment == "production" {
			w.pass(25 * time.Minute) // people look, and it is deployed
		}
		return nil
	})
	w.pass(2 * time.Hour)
	w.accept(bad, "bob", "carol")
	w.environment("production", "it goes back", func(v gatekeeper.EnvironmentView) bool {
		return len(v.Past) > 1 && v.Past[0].Kind == promote.Rollback && v.Past[0].State == promote.Succeeded
	})
	w.ship.driver.Tell(nil)
	w.pass(7 * time.Hour)
	w.sail(r, "Keep the basket, and answer while it loads", "four")
	for i, subject := range []string{"Send the receipt by mail", "Round to whole cents", "Let people change their address"} {
		w.pass(time.Duration(5+i) * day)
		w.sail(r, subject, fmt.Sprint("five-", i))
	}
	w.pass(5 * day)

	next := w.offer(r, "alice", "Pay with a voucher", "six")
	w.land(next)
	w.runsIn("staging", next)
	w.accept(next, "bob")
	at := w.clock().Add(30 * time.Hour)
	w.must(w.ship.control.Order(ctx, w.actor("bob"), "team/shop", "main", deliver.Order{Environment: "production", Kind: deliver.OrderFreeze, Reason: "the stocktaking is on, nobody can look after it", Until: at}))
	w.pass(3 * time.Hour)

	open := w.offer(r, "alice", "Suggest what goes well with it", "seven")
	w.must(w.ship.control.SetOutcome(ctx, w.actor("bob"), open, "preview-untested", "the shop's owner wants to see the colours before they are tested"))
	w.environment("preview", "the change has its own", func(v gatekeeper.EnvironmentView) bool {
		return len(v.Running) > 0 && v.Running[0].Change == open && v.Running[0].State == deliver.AssemblyReady
	})
	w.pass(90 * time.Minute)

	hold := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(hold) }))
	w.ship.driver.Tell(func(s assembly.Spec) error {
		if s.Environment == "staging" {
			<-hold
		}
		return nil
	})
	last := w.offer(r, "alice", "Search without accents", "eight")
	w.land(last)
	w.environment("staging", "it enters", func(v gatekeeper.EnvironmentView) bool { return v.Entering != nil && v.Entering.Change == last })
	w.environment("production", "both wait", func(v gatekeeper.EnvironmentView) bool { return true })
	return w
}

// shopPages are the pages about delivery.
func (w *world) shopPages() []pageOf {
	w.t.Helper()
	ctx := context.Background()
	at := "/team/shop/-/"
	all, err := w.ship.control.Deliveries(ctx, w.actor("alice"), w.ship.shop, deliveriesShown)
	w.must(err)
	waits, went := all[1], all[len(all)-1]
	production := w.environments()[2]
	return []pageOf{
		{"environments", "bob", at + "environments"}, {"environments-anon", "", at + "environments"}, {"environments-none", "bob", at + "environments?branch=gone"},
		{"deliveries", "bob", at + "deliveries"}, {"delivery-waits", "carol", at + "deliveries/" + fmt.Sprint(waits.Run)}, {"delivery-went", "", at + "deliveries/" + fmt.Sprint(went.Run)},
		{"artifact", "bob", at + "artifacts/" + production.Current.Digest}, {"figures", "bob", at + "figures?environment=production&weeks=12"}, {"figures-default", "bob", at + "figures"},
		{"change-delivered", "bob", fmt.Sprintf("/c/%d", waits.Change)}, {"change-preview", "bob", fmt.Sprintf("/c/%d", waits.Change+1)},
		{"way", "bob", fmt.Sprintf("/c/%d/delivery", waits.Change)}, {"way-open", "bob", fmt.Sprintf("/c/%d/delivery", waits.Change+1)}, {"way-anon", "", fmt.Sprintf("/c/%d/delivery", waits.Change+1)},
	}
}
