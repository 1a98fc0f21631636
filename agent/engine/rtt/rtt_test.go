package rtt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// job makes the job of a session with the parameters completed as the plan completes them.
func job(t *testing.T, params netp.Params) engine.Job {
	t.Helper()
	for _, p := range (*Engine)(nil).Spec().Params {
		if p.Default != nil && !params.Has(p.Name) {
			params[p.Name] = p.Default
		}
	}
	if faults := check(params); len(faults) > 0 {
		t.Fatalf("parameters %v: %v", params, faults)
	}
	return engine.Job{Session: netp.Session{Kind: Kind, Params: params}, Clock: new(clock.Clock), Seed: 42}
}

// agents makes the jobs of both ends of a session between two agents on an address.
func agents(t *testing.T, address netip.Addr, params netp.Params) (initiator, responder engine.Job) {
	t.Helper()
	return between(t, port.Where{Address: address}, port.Where{}, params)
}

func between(t *testing.T, far, near port.Where, params netp.Params) (initiator, responder engine.Job) {
	t.Helper()
	p, err := port.Listen(port.Config{Where: far})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	secret := make([]byte, 32)
	rand.Read(secret)
	id := port.SessionID(7)
	keys := port.DeriveKeys(secret, id)
	accept, err := p.Expect(port.Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(accept.Close)
	initiator, responder = job(t, params), job(t, params)
	initiator.ID, responder.ID = id, id
	initiator.Keys, responder.Keys = keys, keys
	initiator.Peer, responder.Accept = p.Addr(), accept
	initiator.Dialer = port.Dialer{Where: near}
	return initiator, responder
}

// play runs both ends.
func play(ctx context.Context, initiator, responder engine.Job) (near, far netp.Result) {
	var both sync.WaitGroup
	both.Go(func() { far = new(Engine).Respond(ctx, responder) })
	near = new(Engine).Initiate(ctx, initiator)
	both.Wait()
	return near, far
}

func deadlined(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// value reads a plain metric.
func value(t *testing.T, r netp.Result, name string) float64 {
	t.Helper()
	m, ok := r.Metrics[name]
	switch {
	case !ok:
		t.Fatalf("no metric %s; failure %v", name, r.Failure)
	case m.Ratio != nil:
		return m.Ratio.Value()
	case m.Value != nil:
		return *m.Value
	}
	return m.Distribution.Member("mean")
}

func wantMetrics(t *testing.T, r netp.Result, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got := value(t, r, name); got != v {
			t.Errorf("%s = %v, want %v", name, got, v)
		}
	}
}

// wantComplete checks what holds for every session that went well.
func wantComplete(t *testing.T, r netp.Result, params netp.Params) {
	t.Helper()
	if r.Failure != nil || !r.Completed {
		t.Fatalf("completed %v, failure %v", r.Completed, r.Failure)
	}
	shapes := map[netp.Shape]func(netp.Measurement) bool{
		netp.RatioShape:        func(m netp.Measurement) bool { return m.Ratio != nil },
		netp.DistributionShape: func(m netp.Measurement) bool { return m.Distribution != nil },
		netp.CountShape:        func(m netp.Measurement) bool { return m.Value != nil },
	}
	specs := metrics(params)
	for _, s := range specs {
		if m, ok := r.Metrics[s.Name]; ok && !shapes[s.Shape](m) {
			t.Errorf("metric %s is not a %s", s.Name, s.Shape)
		}
	}
	for name := range r.Metrics {
		known := false
		for _, s := range specs {
			known = known || s.Name == name
		}
		if !known {
			t.Errorf("metric %s is not declared", name)
		}
	}
	var sent float64
	for _, i := range r.Intervals {
		sent += i.Values[metricSent]
	}
	if sent != value(t, r, metricSent) {
		t.Errorf("the intervals have %v probes, the session %v", sent, value(t, r, metricSent))
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestBetweenAgents(t *testing.T) {
	for _, test := range []struct {
		name    string
		address netip.Addr
		params  netp.Params
		size    string
	}{
		{"smallest", loopback4, netp.Params{"count": 50.0, "interval": 0.002}, "152"},
		{"size", loopback4, netp.Params{"count": 20.0, "interval": 0.002, "size": 1000.0}, "1000"},
		{"size between formats", loopback4, netp.Params{"count": 5.0, "interval": 0.002, "size": 153.0}, "156"},
		{"fragments", loopback4, netp.Params{"count": 5.0, "interval": 0.002, "size": 65000.0}, "65000"},
		{"IPv6", loopback6, netp.Params{"count": 20.0, "interval": 0.002, "dscp": 46.0}, "152"},
		{"poisson", loopback4, netp.Params{"count": 50.0, "interval": 0.002, "spacing": "poisson"}, "152"},
		{"warm-up", loopback4, netp.Params{"count": 20.0, "interval": 0.002, "omit": 0.02}, "152"},
		{"marked", loopback4, netp.Params{"count": 20.0, "interval": 0.002, "dscp": 46.0}, "152"},
	} {
		t.Run(test.name, func(t *testing.T) {
			initiator, responder := agents(t, test.address, test.params)
			near, far := play(deadlined(t), initiator, responder)
			wantComplete(t, near, test.params)
			if far.Failure != nil || !far.Completed {
				t.Errorf("the responder: completed %v, failure %v", far.Completed, far.Failure)
			}
			n := test.params.Number("count")
			wantMetrics(t, near, map[string]float64{
				metricSent: n, metricReceived: n, metricLost: 0, metricLoss: 0, metricLongest: 0,
				metricForward: 0, metricBackward: 0, metricDuplicated: 0,
			})
			rtt, user := near.Metrics[metricRTT].Distribution, near.Metrics[metricUser].Distribution
			if float64(rtt.All.Count()) != n || float64(user.All.Count()) != n {
				t.Errorf("%d and %d delays, want %v", rtt.All.Count(), user.All.Count(), n)
			}
			if rtt.All.Min() <= 0 || rtt.Member("mean") > user.Member("mean") {
				t.Errorf("rtt from %d ns, mean %v; rtt_user mean %v", rtt.All.Min(), rtt.Member("mean"), user.Member("mean"))
			}
			if got := near.Facts["size"]; got != test.size {
				t.Errorf("size %s, want %s", got, test.size)
			}
			if dscp := test.params.Int("dscp"); kernelSockets && dscp != 0 {
				if near.Facts["dscp_backward"] != "46" || far.Facts["dscp_forward"] != "46" {
					t.Errorf("DSCP %s there, %s back; want 46", far.Facts["dscp_forward"], near.Facts["dscp_backward"])
				}
			}
			for _, c := range append(near.Health, far.Health...) {
				if c.OK != (c.Reason == "") {
					t.Errorf("check %+v: a reason and no fault, or the reverse", c)
				}
			}
		})
	}
}

func TestDurationEndsTheSession(t *testing.T) {
	params := netp.Params{"duration": 0.1, "interval": 0.01, "omit": 0.05}
	initiator, responder := agents(t, loopback4, params)
	near, _ := play(deadlined(t), initiator, responder)
	wantComplete(t, near, params)
	if n := value(t, near, metricSent); n > 10 { // a stalled host moves the schedule, and sends fewer or none
		t.Errorf("%v probes in 100 ms at 10 ms, want 10", n)
	}
	if near.Measured > 100*time.Millisecond {
		t.Errorf("measured for %v, want at most 100 ms", near.Measured)
	}
}

func TestCancelled(t *testing.T) {
	initiator, responder := agents(t, loopback4, netp.Params{"duration": 3600.0, "interval": 0.01})
	ctx, cancel := context.WithCancel(deadlined(t))
	defer cancel()
	initiator.Progress = func(p netp.Progress) {
		if p.Values["packets"] > 5 {
			cancel()
		}
	}
	near, far := play(ctx, initiator, responder)
	if near.Failure == nil || near.Failure.Kind != netp.FailureCancelled || near.Completed {
		t.Errorf("completed %v, failure %v; want it cancelled", near.Completed, near.Failure)
	}
	if value(t, near, metricLost) != 0 || value(t, near, metricReceived) == 0 {
		t.Errorf("%v lost, %v received; want what was measured until then", value(t, near, metricLost), value(t, near, metricReceived))
	}
	if far.Failure != nil && far.Failure.Kind != netp.FailureCancelled {
		t.Errorf("the responder fails with %v", far.Failure)
	}
}

// refuse is a Meter that lets some packets out.
type refuse struct{ left int }

func (m *refuse) Allow(int) bool { m.left--; return m.left >= 0 }

func TestLimitsAreKept(t *testing.T) {
	params := netp.Params{"count": 30.0, "interval": 0.001}
	initiator, responder := agents(t, loopback4, params)
	initiator.Meter = &refuse{left: 10}
	ctx, cancel := context.WithCancel(deadlined(t))
	defer cancel()
	var far sync.WaitGroup
	far.Go(func() { new(Engine).Respond(ctx, responder) })
	near := new(Engine).Initiate(ctx, initiator)
	cancel()
	far.Wait()
	if sent := value(t, near, metricSent); sent != 10 {
		t.Errorf("%v probes, the limit is 10", sent)
	}
	if c := find(near, "rate_achieved"); c.OK || !strings.Contains(c.Reason, "limits") {
		t.Errorf("check %+v; want it to name the limits", c)
	}
	initiator, _ = agents(t, loopback4, params)
	initiator.Meter = &refuse{}
	if near := new(Engine).Initiate(deadlined(t), initiator); near.Failure == nil || near.Failure.Kind != netp.FailureRefused {
		t.Errorf("failure %v without a single probe, want %s", near.Failure, netp.FailureRefused)
	}
}

// TestEndIsNotHeard: a reflector that nobody told that the session is over has done its part. A failure would have the session tried again, or
// not judged, because the path died before its end.
func TestEndIsNotHeard(t *testing.T) {
	t.Parallel()
	const probes = 10
	params := netp.Params{"count": probes, "interval": 0.001}
	initiator, responder := agents(t, loopback4, params)
	initiator.Meter = &refuse{left: probes} // and no word at the end
	var far netp.Result
	var responding sync.WaitGroup
	orders, over := context.WithTimeout(t.Context(), 8*time.Second) // in which the session is over, also when the machine stops
	defer over()
	responding.Go(func() { far = new(Engine).Respond(orders, responder) })
	near := new(Engine).Initiate(deadlined(t), initiator)
	responding.Wait()
	wantComplete(t, near, params)
	if far.Failure != nil || !far.Completed || far.Facts["reflector_end"] == "" {
		t.Errorf("the reflector: completed %v, failure %v, facts %v; want it completed, and to tell how it ended", far.Completed, far.Failure, far.Facts)
	}
}

func TestRateCheckNamesWhatHappened(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		sent, unsent uint64
		missed       time.Duration
		want         string
	}{
		{99, 1, 0, ""},
		{88, 0, 60 * ms, "Only 88.0 % of the probes were sent: the host stalled for 60 ms. Give it"},
		{80, 20, 0, "Only 80.0 % of the probes were sent: the host could not send 20 of them. Look at"},
		{70, 10, 100 * ms, "Only 70.0 % of the probes were sent: the host stalled for 100 ms and could not send 10 of them. Give it"},
	} {
		if got := rateCheck(c.sent, c.unsent, c.missed, 5*ms, 0); !strings.HasPrefix(got.Reason, c.want) || got.OK != (c.want == "") {
			t.Errorf("%d sent, %d not, %v missed: got %q, want %q", c.sent, c.unsent, c.missed, got.Reason, c.want)
		}
	}
}

func find(r netp.Result, name string) netp.Check {
	for _, c := range r.Health {
		if c.Name == name {
			return c
		}
	}
	return netp.Check{Name: "none"}
}

func TestUnreachable(t *testing.T) {
	initiator, _ := agents(t, loopback4, netp.Params{"count": 3.0})
	initiator.ID++ // a session nobody expects
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	near := new(Engine).Initiate(ctx, initiator)
	if near.Failure == nil || near.Failure.Kind != netp.FailureUnreachable || !near.Failure.DataPort || len(near.Metrics) != 0 {
		t.Errorf("failure %v with %d metrics, want an unreachable data port and none", near.Failure, len(near.Metrics))
	}
}

// TestForeignSilence: a host that swallows everything is unreachable, not a path with 100 % loss.
func TestForeignSilence(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, params := range []netp.Params{
		{"count": 3.0, "interval": 0.001, "timeout": 0.05},
		{"duration": 3600.0, "interval": 0.001, "timeout": 0.05},
	} {
		j := job(t, params)
		j.Path = netp.Path{Dest: silent.LocalAddr().String(), Endpoint: true}
		near := new(Engine).Initiate(deadlined(t), j)
		if near.Failure == nil || near.Failure.Kind != netp.FailureUnreachable || len(near.Metrics) != 0 {
			t.Errorf("%v: failure %v with %d metrics, want unreachable and none", params, near.Failure, len(near.Metrics))
		}
	}
}

// TestSilenceOfAnAddress: a name may have several addresses, and the failure says which one is silent.
func TestSilenceOfAnAddress(t *testing.T) {
	for dest, want := range map[string]string{
		"portal.example:862": "portal.example:862 (10.1.2.10)",
		"10.1.2.10:862":      "10.1.2.10:862",
	} {
		s := session{target: netip.MustParseAddr("10.1.2.10"), ledger: &ledger{}}
		s.job.Path = netp.Path{Dest: dest, Endpoint: true}
		if got := s.unreachable().Detail; !strings.HasPrefix(got, "None of 0 STAMP packets to "+want+" was answered") {
			t.Errorf("%s: %s", dest, got)
		}
	}
}

func TestNameDoesNotResolve(t *testing.T) {
	for _, mode := range []string{modeStamp, modeICMP, modeTCP} {
		j := job(t, netp.Params{"count": 1.0, "mode": mode})
		j.Path = netp.Path{Dest: "no-such-host.invalid", Endpoint: true}
		if mode == modeTCP {
			j.Path.Dest += ":80"
		}
		near := new(Engine).Initiate(deadlined(t), j)
		if near.Failure == nil || near.Failure.Kind != netp.FailureName {
			t.Errorf("%s: failure %v, want %s", mode, near.Failure, netp.FailureName)
		}
	}
}

func TestConnect(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	params := netp.Params{"count": 10.0, "interval": 0.01, "mode": modeTCP}
	probe := func() netp.Result {
		j := job(t, params)
		j.Path = netp.Path{Dest: address, Endpoint: true}
		return new(Engine).Initiate(deadlined(t), j)
	}
	open := probe()
	listener.Close()
	closed := probe()
	wantComplete(t, open, params)
	wantMetrics(t, open, map[string]float64{metricSent: 10, metricReceived: 10, metricLoss: 0})
	if mean := value(t, open, metricRTT); math.IsNaN(mean) || mean <= 0 || mean > value(t, open, metricUser) {
		t.Errorf("rtt %v, rtt_user %v", mean, value(t, open, metricUser))
	}
	if open.Facts["refused"] != "" || closed.Facts["refused"] != "10" {
		t.Errorf("refused %q and %q, want none and 10", open.Facts["refused"], closed.Facts["refused"])
	}
	if f := closed.Failure; f == nil || f.Kind != netp.FailureUnreachable || !strings.Contains(f.Detail, address+" refused all of 10 connections") {
		t.Errorf("failure %v where nothing listens, want %s", f, netp.FailureUnreachable)
	}
	if len(closed.Metrics) > 0 {
		t.Errorf("metrics %v of a service that is not there", closed.Metrics)
	}
}

// TestConnectReset: a service that resets each connection at once has answered all the same, whether this process learns of the connection
// or of its end first.
func TestConnectReset(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	params := netp.Params{"count": 100.0, "interval": 0.01, "mode": modeTCP}
	j := job(t, params)
	j.Path = netp.Path{Dest: listener.Addr().String(), Endpoint: true}
	near := new(Engine).Initiate(deadlined(t), j)
	wantComplete(t, near, params)
	wantMetrics(t, near, map[string]float64{metricSent: 100, metricReceived: 100, metricLost: 0})
	if near.Facts["send_error"] != "" || near.Facts["refused"] != "" {
		t.Errorf("facts %v", near.Facts)
	}
}

func TestICMP(t *testing.T) {
	for _, address := range []netip.Addr{loopback4, loopback6} {
		params := netp.Params{"count": 20.0, "interval": 0.002, "mode": modeICMP}
		j := job(t, params)
		j.Path = netp.Path{Dest: address.String(), Endpoint: true}
		near := new(Engine).Initiate(deadlined(t), j)
		if near.Failure != nil && near.Failure.Kind == netp.FailurePermission {
			if !strings.Contains(near.Failure.Detail, "ping_group_range") {
				t.Errorf("the failure does not say what to do: %v", near.Failure)
			}
			t.Skip("no permission for ICMP: net.ipv4.ping_group_range does not have this group, and no CAP_NET_RAW")
		}
		wantComplete(t, near, params)
		wantMetrics(t, near, map[string]float64{metricSent: 20, metricReceived: 20, metricLoss: 0})
		if near.Facts["size"] != "56" {
			t.Errorf("size %s, want ping's 56", near.Facts["size"])
		}
	}
}

func addrPort(t *testing.T, address string, number uint16) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, number)
}

// TestDamagedEchoIsNoAnswer: raw sockets of IPv4 get what the kernel has not checked.
func TestDamagedEchoIsNoAnswer(t *testing.T) {
	p := newEcho(false, defaultICMPSize, 7, false, 42)
	reply := bytes.Clone(p.probe(3, 1e18))
	reply[0] = echoReply4
	binary.BigEndian.PutUint16(reply[2:], 0)
	binary.BigEndian.PutUint16(reply[2:], checksum(reply))
	if e, ok := p.read(reply); !ok || e.sequence != 3 || e.wall != 1e18 {
		t.Fatalf("%+v, %v; want the answer to probe 3", e, ok)
	}
	for i := range len(reply) * 8 {
		damaged := bytes.Clone(reply)
		damaged[i/8] ^= 1 << (i % 8)
		if _, ok := p.read(damaged); ok {
			t.Errorf("bit %d is turned, and it counts as an answer", i)
		}
	}
}
