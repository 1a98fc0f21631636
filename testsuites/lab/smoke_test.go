//go:build linux

package lab_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
	"github.com/netpupper/netp/testsuites/lab/labtest"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

func TestSmoke(t *testing.T) {
	l := labtest.New(t)
	t.Log(l.Emulator.RealTime)
	a, err := l.Node("a")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := l.Node("b")
	line, err := l.Line(lab.End{a, "eth0", netip.MustParsePrefix("10.0.0.1/24")}, lab.End{b, "eth0", netip.MustParsePrefix("10.0.0.2/24")})
	if err != nil {
		t.Fatal(err)
	}
	line.Forward.Set(emulator.Impair{Delay: 20 * time.Millisecond})
	line.Forward.Record(100)
	out, err := a.Run("ping", "-c", "20", "-i", "0.01", "10.0.0.2")
	fmt.Println(string(out), err)
	r, _ := line.Forward.Take()
	for _, r := range r[:3] {
		fmt.Println(r.Due-r.Arrival, r.Departure-r.Due)
	}
	c, late, err := line.Forward.Count()
	fmt.Println(c, late.String(), err)
}

func TestWAN(t *testing.T) {
	l := labtest.New(t)
	w := lab.WAN{Carriers: []string{"telco-a", "telco-b"}}
	for _, s := range []string{"syd", "mel", "per", "bne", "adl"} {
		w.Sites = append(w.Sites, lab.Site{Name: s, NAT: s == "bne", Lines: []lab.SiteLine{{Carrier: "telco-a", Up: emulator.Impair{Delay: time.Millisecond}}, {Carrier: "telco-b"}}})
	}
	begin := time.Now()
	n, err := l.Build(w)
	t.Log(time.Since(begin), err)
	for _, to := range []string{"10.1.2.10", "10.2.2.10"} {
		out, err := n.Sites["syd"].Run("ping", "-c", "2", "-i", "0.01", to)
		fmt.Println(string(out), err)
		out, err = n.Sites["bne"].Run("ping", "-c", "2", "-i", "0.01", to)
		fmt.Println(string(out), err)
		out, err = n.Sites["bne"].Run("ping", "-c", "2", "-i", "0.01", "-I", "172.16.2.10", to)
		fmt.Println(string(out), err)
	}
}
