package sim

import "testing"

// No history of an environment breaks a rule.
func TestCheckPromotionHistories(t *testing.T) {
	const histories = 60000
	broken := 0
	for seed := range uint64(histories) {
		v := newDelivery(seed).play(nil).violation
		if v == nil {
			continue
		}
		if broken++; broken <= 3 {
			t.Errorf("seed %d: %v\n%s", seed, v, newDelivery(seed).shrink(v.Rule).story())
		}
	}
	if broken > 0 {
		t.Errorf("%d of %d histories break a rule", broken, histories)
	}
}
