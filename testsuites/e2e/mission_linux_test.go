package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

// TestMission is what netp is for, with every part real: a commit to a git
// repository behind an SSH server, a controller that follows it, agents at three
// sites that are hosts of their own as far as the kernel is concerned, standing
// and one-shot tests, verdicts in the store, in a file and in InfluxDB. Meanwhile
// controller, agents and sink plugins are killed, and in the end a program that
// shares no code with netp looks for what is lost or doubled.
func TestMission(t *testing.T) {
	m := newMission(t)
	begun := time.Now()
	m.commit("the suite", map[string]string{"wan/wan.hcl": m.suite("2s", "3s", "syd", "mel", "per")})
	m.startController()
	for site := range m.addresses {
		m.join(site)
	}
	m.awaitVerdicts("test.once", begun, 6) // every ordered pair of three sites, once, because it is new
	m.awaitVerdicts("test.beat", begun, 6)
	m.awaitVerdicts("test.voice", begun, 6)

	t.Run("a bad commit changes nothing", m.badCommit)
	t.Run("kills", m.kills)
	t.Run("a stolen token", m.stolenToken)
	t.Run("spoofed packets", m.spoofed)
	t.Run("a revoked agent", m.revoked)
	t.Run("what is kept", m.audited)
}

// hub is where controller, git server and InfluxDB are.
const hub = "198.51.100.10"

// mission is a deployment over sites.
type mission struct {
	*deployment
	t         *testing.T
	namespace map[string]string // by site, and "hub" and "wan"
	addresses map[string]string // of sites
	agents    map[string]*process
	bare      string // the repository operators push to
	clone     string
	options   []string // of the controller
	influx    string
	used      string // a join token that somebody used
	random    *rand.Rand
	delivered uint64    // by all sinks, when they were looked at
	restless  time.Time // when something was seen to go on
}

func newMission(t *testing.T) *mission {
	for _, program := range []string{"git", "influxd", "/usr/sbin/sshd", "ssh-keygen", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: apt-get install git influxdb openssh-server openssh-client sqlite3", program)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &mission{
		t: t, namespace: map[string]string{}, agents: map[string]*process{},
		addresses: map[string]string{"syd": "198.51.100.1", "mel": "198.51.100.2", "per": "198.51.100.3"},
		random:    rand.New(rand.NewPCG(seed, 0)),
	}
	m.wire()
	m.deployment = &deployment{t: t, binary: buildNetp(t), dir: t.TempDir(), http: hub + ":8640", bus: hub + ":4222", inside: m.in("hub")}
	m.buildSinks()
	m.serveGit()
	m.serveInflux()
	return m
}

// wire makes the hosts: a namespace each, joined by a bridge in one of its own.
func (m *mission) wire() {
	t := m.t
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	name := func(site string) string { return fmt.Sprintf("netp-mission-%s-%d", site, os.Getpid()) }
	add := func(site string) {
		m.namespace[site] = name(site)
		ip(t, "netns add "+name(site))
		t.Cleanup(func() { ip(t, "netns del "+name(site)) })
		ip(t, "-n "+name(site)+" link set lo up")
	}
	add("wan")
	ip(t, "-n "+name("wan")+" link add br0 type bridge")
	ip(t, "-n "+name("wan")+" link set br0 up")
	for site, address := range map[string]string{"hub": hub, "syd": m.addresses["syd"], "mel": m.addresses["mel"], "per": m.addresses["per"], "thief": "198.51.100.66"} {
		add(site)
		ip(t, fmt.Sprintf("-n %s link add wan type veth peer name to-%s netns %s", name(site), site, name("wan")))
		ip(t, fmt.Sprintf("-n %s addr add %s/24 dev wan", name(site), address))
		ip(t, fmt.Sprintf("-n %s link set wan up", name(site)))
		ip(t, fmt.Sprintf("-n %s link set to-%s master br0 up", name("wan"), site))
	}
}

// in is the command that runs another one at a site.
func (m *mission) in(site string) []string {
	return []string{"ip", "netns", "exec", m.namespace[site]}
}

// buildSinks puts the plugins beside the program.
func (m *mission) buildSinks() {
	for _, kind := range []string{"jsonl", "influxdb"} {
		out := filepath.Join(filepath.Dir(m.binary), "netp-sink-"+kind)
		if text, err := exec.Command("go", "build", "-o", out, "github.com/netpupper/netp/plugins/"+kind).CombinedOutput(); err != nil {
			m.t.Fatalf("build the sink %s: %v\n%s", kind, err, text)
		}
	}
}

func (m *mission) file(name, text string) string {
	m.t.Helper()
	full := m.path(name)
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return full
}

// run runs a command to its end.
func (m *mission) run(name string, args ...string) string {
	m.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serve runs a server at the hub until the test ends.
func (m *mission) serve(args ...string) {
	m.t.Helper()
	line := append(m.in("hub"), args...)
	cmd := exec.Command(line[0], line[1:]...)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// serveGit makes the repository and the SSH server that gives it out.
func (m *mission) serveGit() {
	m.bare, m.clone = m.path("wan.git"), m.path("work")
	m.run("git", "init", "-q", "--bare", "-b", "main", m.bare)
	m.run("git", "clone", "-q", m.bare, m.clone)
	keys := map[string]string{}
	for _, who := range []string{"host", "controller", "operator"} {
		m.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", m.path(who+".key"))
		public, err := os.ReadFile(m.path(who + ".key.pub"))
		if err != nil {
			m.t.Fatal(err)
		}
		keys[who] = string(public)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		m.t.Fatal(err)
	}
	config := m.file("sshd_config", fmt.Sprintf("ListenAddress %s:22\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n",
		hub, m.path("host.key"), m.file("authorized_keys", keys["controller"])))
	m.serve("/usr/sbin/sshd", "-D", "-f", config)
	m.options = []string{
		"-repo", "ssh://root@" + hub + m.bare, "-branch", "main", "-interval", "1s",
		"-ssh-key", m.path("controller.key"), "-known-hosts", m.file("known_hosts", hub+" "+keys["host"]),
		"-allowed-signers", m.file("allowed_signers", "operator@example.com "+keys["operator"]),
	}
}

// commit writes files and pushes them, signed by the operator.
func (m *mission) commit(message string, files map[string]string) (id string) {
	m.t.Helper()
	for name, text := range files {
		full := filepath.Join(m.clone, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run("git", "-C", m.clone, "add", "-A")
	m.run("git", "-C", m.clone, "-c", "user.name=op", "-c", "user.email=operator@example.com", "-c", "gpg.format=ssh",
		"-c", "user.signingkey="+m.path("operator.key"), "commit", "-q", "-S", "-m", message)
	m.run("git", "-C", m.clone, "push", "-q", "origin", "HEAD:main")
	return strings.TrimSpace(m.run("git", "-C", m.clone, "rev-parse", "HEAD"))
}

// suite has two standing tests and one that runs once, on all pairs of sites.
func (m *mission) suite(beat, voice string, sites ...string) string {
	return fmt.Sprintf(`
suite "wan" {}
locals { sites = toset(split(" ", %q)) }
agent "site" {
  for_each = local.sites
  name     = each.key
}
path "mesh" { mesh = [agent.site] }
profile "rtt" "probe" {
  interval = "20ms"
  duration = "500ms"
}
profile "udp" "voice" {
  rate     = "50pps"
  size     = 172
  duration = "500ms"
}
test "once" {
  path    = path.mesh
  profile = profile.rtt.probe
  assert "alive" { condition = rtt.min <= 10 * s }
}
test "beat" {
  path    = path.mesh
  profile = profile.rtt.probe
  every   = %q
  assert "alive" { condition = rtt.min <= 10 * s }
}
test "voice" {
  path    = path.mesh
  profile = profile.udp.voice
  every   = %q
  assert "alive" { condition = loss.sent >= 1 }
}
sink "jsonl" "all" { path = "records.jsonl" }
sink "influxdb" "noc" {
  url      = %q
  database = "netp"
}
`, strings.Join(sites, " "), beat, voice, m.influx)
}

func (m *mission) startController() {
	m.t.Helper()
	args := append([]string{"controller", "-data", m.path("controller"), "-http", m.http, "-bus", m.bus}, m.options...)
	m.controller = m.start(m.inside, args...)
	m.controller.awaitLog("controller is up")
}

// join lets a site's agent in.
func (m *mission) join(site string) {
	m.t.Helper()
	m.used = m.token()
	m.startAgent(site, "-join", m.used, "-name", site)
	m.await(netp.AgentID(site), "ready")
}

func (m *mission) startAgent(site string, more ...string) {
	m.t.Helper()
	m.agents[site] = m.start(m.in(site), append([]string{"agent", "-data", m.path(site), "-listen", m.addresses[site] + ":8620"}, more...)...)
}

// verdicts are the records of a test since a time, the latest first.
func (m *mission) verdicts(test string, since time.Time) []netp.Record {
	m.t.Helper()
	return m.history("-test", test, "-since", since.Format(time.RFC3339Nano), "-limit", "0")
}

// history gives the records of all paths that the flags choose, as the controller tells.
func (m *mission) history(flags ...string) []netp.Record {
	m.t.Helper()
	text, _, err := m.command(append([]string{"history", "path.mesh", "-json"}, flags...)...)
	if err != nil {
		return nil // nothing yet, or the controller is on its way back
	}
	var page struct{ Records []netp.Record }
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		m.t.Fatalf("history -json: %v\n%s", err, text)
	}
	return page.Records
}

// awaitVerdicts waits until a test has had n more sessions that were recorded since a time.
func (m *mission) awaitVerdicts(test string, since time.Time, n int) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%d verdicts of %s", n, test), func() bool { return len(m.verdicts(test, since)) >= n })
}
