package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/netpupper/netp"
)

// serveInflux runs a real InfluxDB 1.x at the hub.
func (m *mission) serveInflux() {
	dir := m.path("influx")
	config := m.file("influx.conf", fmt.Sprintf("reporting-disabled = true\nbind-address = \"127.0.0.1:8088\"\n[meta]\n  dir = %q\n[data]\n  dir = %q\n  wal-dir = %q\n[http]\n  bind-address = \"%s:8086\"\n  log-enabled = false\n[monitor]\n  store-enabled = false\n",
		dir+"/meta", dir+"/data", dir+"/wal", hub))
	m.serve("influxd", "run", "-config", config)
	m.influx = "http://" + hub + ":8086"
	eventually(m.t, "InfluxDB takes a database", func() (made bool) {
		m.at("hub", func() error {
			c, err := net.Dial("tcp4", hub+":8086")
			if err != nil {
				return nil // not yet
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /query?q=CREATE+DATABASE+netp HTTP/1.0\r\nHost: influx\r\nContent-Length: 0\r\n\r\n")
			answer, err := io.ReadAll(c)
			made = strings.Contains(string(answer), " 200 ")
			return err
		})
		return made
	})
}

// badCommit pushes a suite that does not load, and one that nobody known signed:
// what was there goes on.
func (m *mission) badCommit(t *testing.T) {
	before := m.revision()
	bad := m.commit("a mistake", map[string]string{"wan/wan.hcl": "suite \"wan\" {\n  garbage\n"})
	eventually(t, "the status names the bad commit", func() bool {
		s := m.status()
		return strings.Contains(s, bad) && strings.Contains(s, "LoadFailed")
	})
	m.awaitVerdicts("test.beat", time.Now(), 6)
	if now := m.revision(); now != before {
		t.Errorf("records are of %s after a bad commit, were of %s", now, before)
	}
	good := m.commit("mended", map[string]string{"wan/wan.hcl": m.suite("2s", "3s", "syd", "mel", "per") + "\n"})
	eventually(t, "the mended suite runs", func() bool { return strings.Contains(m.revision(), good) })
}

func (m *mission) status() string {
	m.t.Helper()
	out, _, err := m.command("status", "-json")
	if err != nil {
		return ""
	}
	return out
}

// revision of the newest record of the standing test.
func (m *mission) revision() string {
	for _, r := range m.history("-test", "beat", "-limit", "1") {
		return r.Revision
	}
	return ""
}

// kills ends processes as a power cut would, at random times, and starts them again.
func (m *mission) kills(t *testing.T) {
	const kills = 50
	count := map[string]int{}
	for range kills {
		<-time.After(time.Duration(200+m.random.IntN(800)) * time.Millisecond)
		victim := m.killOne()
		count[victim]++
	}
	t.Logf("killed %v", count)
	for site := range m.agents {
		m.await(netp.AgentID(site), "ready")
	}
	m.awaitVerdicts("test.beat", time.Now(), 6)
}

// killOne kills a process and starts it again.
func (m *mission) killOne() (victim string) {
	switch pick := m.random.IntN(10); {
	case pick < 3:
		m.controller.kill()
		m.startController()
		return "controller"
	case pick < 7:
		site := []string{"syd", "mel", "per"}[m.random.IntN(3)]
		m.agents[site].kill()
		m.startAgent(site)
		return site
	}
	plugins := m.plugins()
	if len(plugins) == 0 {
		return "no plugin was there"
	}
	one := plugins[m.random.IntN(len(plugins))]
	if err := syscall.Kill(one.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		m.t.Fatal(err)
	}
	return one.name
}

type plugin struct {
	pid  int
	name string
}

// plugins are the sink plugins of the controller that run.
func (m *mission) plugins() (out []plugin) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		command, err2 := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || err2 != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		fmt.Sscan(rest, &state, &parent)
		name, _, _ := strings.Cut(string(command), "\x00")
		if parent == m.controller.cmd.Process.Pid && strings.HasPrefix(filepath.Base(name), "netp-sink-") {
			out = append(out, plugin{pid, filepath.Base(name)})
		}
	}
	return out
}

// stolenToken is a token that somebody read from a process list after its use.
func (m *mission) stolenToken(t *testing.T) {
	token := m.token()
	m.agents["syd"].terminate()
	m.await("syd", "away")
	m.startAgent("syd")
	thief := m.start(m.in("thief"), "agent", "-join", m.used, "-data", m.path("thief"), "-name", "thief", "-listen", "198.51.100.66:8620")
	if code := thief.exit(); code != 1 || !strings.Contains(thief.log.String(), "has been used") {
		t.Errorf("a used token: exit code %d\n%s", code, thief.log)
	}
	as := m.start(m.in("thief"), "agent", "-join", token, "-data", m.path("thief"), "-name", "mel", "-listen", "198.51.100.66:8620")
	if code := as.exit(); code != 1 || !strings.Contains(as.log.String(), "belongs to this controller already") {
		t.Errorf("a stolen token under the name of another: exit code %d\n%s", code, as.log)
	}
	m.await("syd", "ready")
}

// spoofed sends what went between the sites again, as it was and changed, and
// garbage, from an address that has no business there.
func (m *mission) spoofed(t *testing.T) {
	begun := time.Now()
	eventually(t, "the kills are over and done with", func() bool { return m.steady(begun) })
	since := time.Now()
	frames := m.sniff(200)
	heard := m.attack(frames)
	m.awaitVerdicts("test.beat", time.Now(), 12)
	if heard > 0 {
		t.Errorf("the agents answered the thief with %d bytes", heard)
	}
	for _, test := range []string{"test.beat", "test.voice"} {
		for _, r := range m.verdicts(test, since) {
			if r.Scheduled.After(since) && r.Status != netp.Pass && r.Status != netp.Inconclusive {
				t.Errorf("%s: %s, %v", r.ID, r.Status, r.Result.Failure)
			}
		}
	}
}

// steady says whether every path has had a session since a time, and the newest of each could be judged.
func (m *mission) steady(since time.Time) bool {
	newest := map[string]netp.Record{}
	for _, test := range []string{"test.beat", "test.voice"} {
		for _, r := range m.verdicts(test, since) {
			if r.Scheduled.After(since) && r.Scheduled.After(newest[r.Session.Addr].Scheduled) {
				newest[r.Session.Addr] = r
			}
		}
	}
	for _, r := range newest {
		if r.Status == netp.Errored {
			return false
		}
	}
	return len(newest) == 12 // of two tests on all ordered pairs of three sites
}

// at runs a function in the namespace of a site.
func (m *mission) at(site string, do func() error) {
	m.t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.GetFromName(m.namespace[site])
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = do()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		m.t.Fatalf("at %s: %v", site, err)
	}
}

// sniff takes the payloads of UDP packets between data ports off the wire.
func (m *mission) sniff(n int) (payloads [][]byte) {
	m.at("wan", func() error {
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, int(htons(syscall.ETH_P_ALL)))
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 1}); err != nil {
			return err
		}
		buffer := make([]byte, 2048)
		for deadline := time.Now().Add(patience); len(payloads) < n && time.Now().Before(deadline); {
			size, _, err := syscall.Recvfrom(fd, buffer, 0)
			if err != nil || size < 28 || buffer[0]>>4 != 4 || buffer[9] != syscall.IPPROTO_UDP {
				continue
			}
			payloads = append(payloads, append([]byte(nil), buffer[28:size]...))
		}
		return nil
	})
	if len(payloads) < n {
		m.t.Fatalf("only %d packets were seen", len(payloads))
	}
	return payloads
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// attack sends payloads to all data ports from the thief's address and says how
// many bytes came back.
func (m *mission) attack(payloads [][]byte) (heard int) {
	m.at("thief", func() error {
		for _, address := range m.addresses {
			to := netip.AddrPortFrom(netip.MustParseAddr(address), 8620)
			got, err := shower(to, payloads, m.random)
			if err != nil {
				return err
			}
			said, err := babble(to, payloads[0])
			if err != nil {
				return err
			}
			heard += got + said
		}
		return nil
	})
	return heard
}

// shower sends each payload as it is and with a bit changed, and as much garbage.
func shower(to netip.AddrPort, payloads [][]byte, random *rand.Rand) (heard int, err error) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for _, p := range payloads {
		changed := append([]byte(nil), p...)
		changed[random.IntN(len(changed))] ^= 1 << random.IntN(8)
		garbage := make([]byte, 1+random.IntN(1400))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		for _, one := range [][]byte{p, changed, garbage} {
			if _, err := c.Write(one); err != nil {
				return heard, err
			}
		}
	}
	buffer := make([]byte, 2048)
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return heard, err
	}
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return heard, nil // nobody answers
		}
		heard += n
	}
}

// babble opens a connection, says something, and listens. To be hung up on is what
// it has to expect.
func babble(to netip.AddrPort, text []byte) (heard int, err error) {
	c, err := net.DialTimeout("tcp4", to.String(), patience)
	if errors.Is(err, syscall.ECONNRESET) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.Write(text)
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, err
	}
	said, _ := io.ReadAll(c)
	return len(said), nil
}

// revoked puts an agent out: it is gone at once, the others go on.
func (m *mission) revoked(t *testing.T) {
	m.must("agents", "revoke", "per")
	if code := m.agents["per"].exit(); code != 1 || !strings.Contains(m.agents["per"].log.String(), "was revoked") {
		t.Errorf("the revoked agent: exit code %d\n%s", code, m.agents["per"].log)
	}
	since := time.Now()
	eventually(t, "the others go on", func() bool {
		for _, r := range m.verdicts("test.beat", since) {
			if r.Session.Path.Key() == "syd->mel" && r.Status == netp.Pass {
				return true
			}
		}
		return false
	})
}

// audited lets everything come to rest and has what is kept looked through.
func (m *mission) audited(t *testing.T) {
	m.commit("rest, without the site that is out", map[string]string{"wan/wan.hcl": m.suite("24h", "24h", "syd", "mel")})
	eventually(t, "everything is at rest", m.atRest)
	if code := m.controller.terminate(); code != 0 {
		t.Errorf("the stopped controller exits with %d", code)
	}
	program := m.path("audit")
	m.run("go", "build", "-o", program, "github.com/netpupper/netp/testsuites/e2e/audit")
	line := append(m.in("hub"), program, "-db", m.path("controller/netp.db"), "-jsonl", m.path("controller/sinks/records.jsonl"), "-influx", m.influx)
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("audit: %v", err)
	}
}

// restFor is longer than a sink waits before it looks for new records.
const restFor = 3 * time.Second

// atRest says whether nothing runs, every sink has everything, and both has been
// so for a while.
func (m *mission) atRest() bool {
	var s struct {
		Running  []json.RawMessage `json:"running"`
		Standing []struct {
			Schedule string `json:"schedule"`
			Running  int    `json:"running"`
		} `json:"standing"`
		Sinks []struct {
			Delivered uint64 `json:"delivered"`
			Pending   uint64 `json:"pending"`
			Failing   bool   `json:"failing"`
		} `json:"sinks"`
	}
	text := m.status()
	rests := text != "" && json.Unmarshal([]byte(text), &s) == nil && len(s.Running) == 0 && len(s.Standing) == 2 && len(s.Sinks) == 2
	for _, one := range s.Standing {
		rests = rests && one.Running == 0 && strings.Contains(one.Schedule, "24h")
	}
	delivered := uint64(0)
	for _, one := range s.Sinks {
		rests = rests && one.Pending == 0 && !one.Failing
		delivered += one.Delivered
	}
	if !rests || delivered != m.delivered {
		m.restless = time.Now()
	}
	m.delivered = delivered
	return time.Since(m.restless) > restFor
}
