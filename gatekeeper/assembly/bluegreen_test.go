package assembly

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
)

// Blue and green, under load that does not stop: each request gets a whole answer of one version.
func TestBlueGreenLosesNoRequest(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	r, front := testRouter(t)
	live, err := d.Deploy(t.Context(), spec(t, 1, "VERSION=0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Set(previewHost, live); err != nil {
		t.Fatal(err)
	}
	var asked, failed atomic.Int64
	seen := sync.Map{}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for worker := range 6 {
		load.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := worker; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				path, repeats := "/version", 1
				if n%10 == 0 {
					path, repeats = "/slow", 10
				}
				version, err := ask(t.Context(), client, front.URL+path)
				if err != nil || version == "" || version != strings.Repeat(version[:1], repeats) {
					failed.Add(1)
					t.Errorf("request %d: %q, %v", n, version, err)
					return
				}
				seen.Store(version[:1], true)
			}
		})
	}
	const switches = 4
	for n := 1; n <= switches; n++ {
		s := spec(t, int64(n+1), fmt.Sprintf("VERSION=%d", n))
		s.Strategy, s.Previous = plan.BlueGreen, &live
		next, err := d.Deploy(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Set(previewHost, next); err != nil {
			t.Fatal(err)
		}
		if err := r.Drain(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		if err := d.Destroy(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		live = next
		begin := asked.Load()
		eventually(t, "requests reach it", func() bool { return asked.Load() > begin+20 || t.Failed() })
	}
	close(stop)
	load.Wait()
	for n := range switches + 1 {
		if _, ok := seen.Load(fmt.Sprint(n)); !ok {
			t.Errorf("version %d answered nothing", n)
		}
	}
	t.Logf("%d requests, %d failed, over %d switches", asked.Load(), failed.Load(), switches)
}

func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host = previewHost
	answer, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", answer.StatusCode)
	}
	return string(text), err
}
