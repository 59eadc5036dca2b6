package assembly

import (
	"net"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestTheServersOwnAddresses(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	outside := "127.0.0.1"
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			outside = n.IP.String()
		}
	}
	for _, tt := range []struct {
		own, address string
		want         bool
	}{
		{"127.0.0.1:80", "http://127.0.0.1", true},
		{"127.0.0.1:8080", "http://127.0.0.1:8081", false},
		{"localhost:8080", "http://127.0.0.1:8080", true},
		{"127.0.0.1:8080", "http://LOCALHOST:8080", true},
		{"127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080", true},
		{":8080", "http://127.0.0.1:8080", true},
		{"0.0.0.0:8080", "http://127.0.0.2:8080", true},
		{"[::]:443", "https://[::1]", true},
		{":8080", "http://" + outside + ":8080", true},
		{":8080", "http://192.0.2.1:8080", false},
		{"192.0.2.1:8080", "http://192.0.2.1:8080", true},
		{"192.0.2.1:8080", "http://127.0.0.1:8080", false},
		{"gate.example.test:8080", "http://192.0.2.1:8080", false},
	} {
		r := NewRouter(RouterConfig{Own: []string{tt.own}})
		if err := r.Set(previewHost, Instance{Address: tt.address}); fault.Is(err, fault.Refused) != tt.want {
			t.Errorf("own %s, %s: %v", tt.own, tt.address, err)
		}
	}
}
