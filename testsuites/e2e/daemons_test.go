package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/join"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/testsuites/freeport"
)

// deployment is a controller and agents as processes of their own.
type deployment struct {
	t           *testing.T
	binary, dir string
	http, bus   string   // addresses of the controller
	inside      []string // a command that runs the controller and the commands, for namespaces
	flags, env  []string // of the controller, beside the usual ones
	controller  *process
	firstLine   string // what the controller printed at its first start
}

// buildNetp builds the program under test.
func buildNetp(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command to build netp")
	}
	binary := filepath.Join(t.TempDir(), "netp-under-test")
	build := exec.Command("go", "build", "-o", binary, "github.com/netpupper/netp/cmd/netp")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build netp: %v\n%s", err, out)
	}
	return binary
}

// deploy starts a controller on loopback, with these flags beside the usual ones.
func deploy(t *testing.T, binary string, flags ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, binary: binary, dir: t.TempDir(), http: freeport.Address(t), bus: freeport.Address(t), flags: flags}
	d.startController()
	d.firstLine = d.controller.awaitOutput("netp agent -join ")
	return d
}

func (d *deployment) path(name string) string { return filepath.Join(d.dir, name) }

func (d *deployment) startController() {
	d.t.Helper()
	d.controller = d.start(d.inside, append([]string{"controller", "-data", d.path("controller"), "-http", d.http, "-bus", d.bus}, d.flags...)...)
	d.controller.awaitLog("controller is up")
}

// process is a running netp.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, log *text
	ended    chan struct{} // closed when it has
}

// text is what a process has written so far.
type text struct {
	mu   sync.Mutex // guards data
	data bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.data.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.data.String()
}

func (d *deployment) start(prefix []string, args ...string) *process {
	d.t.Helper()
	line := append(append(append([]string(nil), prefix...), d.binary), args...)
	p := &process{t: d.t, cmd: exec.Command(line[0], line[1:]...), out: new(text), log: new(text), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	p.cmd.Env = append(append(os.Environ(), "NETP_LOG=info"), d.env...)
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	d.t.Cleanup(func() {
		p.kill()
		if d.t.Failed() {
			d.t.Logf("%s:\n%s%s", strings.Join(args, " "), p.out, p.log)
		}
	})
	return p
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// terminate asks the process to end and gives its exit code.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.exit()
}

// exit waits for the process's end and gives its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the process does not end:\n%s", p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) awaitLog(words string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q in the log", words), func() bool {
		p.mustLive(words)
		return strings.Contains(p.log.String(), words)
	})
}

func (p *process) awaitOutput(words string) (output string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q printed", words), func() bool {
		output = p.out.String()
		return strings.Contains(output, words)
	})
	return output
}

// mustLive fails the test when the process has ended without having said the words.
func (p *process) mustLive(words string) {
	p.t.Helper()
	select {
	case <-p.ended:
		if !strings.Contains(p.log.String(), words) {
			p.t.Fatalf("the process ended:\n%s", p.log)
		}
	default:
	}
}

// command runs netp to its end.
func (d *deployment) command(args ...string) (stdout, stderr string, err error) {
	d.t.Helper()
	admin, err := os.ReadFile(filepath.Join(d.path("controller"), "admin.token"))
	if err != nil {
		d.t.Fatal(err)
	}
	line := append(append(append([]string(nil), d.inside...), d.binary), args...)
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.Env = append(os.Environ(), "NETP_CONTROLLER=https://"+d.http, "NETP_TOKEN="+string(admin))
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	err = c.Run()
	return out.String(), complaints.String(), err
}

func (d *deployment) must(args ...string) string {
	d.t.Helper()
	out, complaints, err := d.command(args...)
	if err != nil {
		d.t.Fatalf("netp %s: %v\n%s", strings.Join(args, " "), err, complaints)
	}
	return out
}

// tokenIn finds the token in a line to run.
func tokenIn(t *testing.T, line string) string {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[0] != "netp" || fields[1] != "agent" || fields[2] != "-join" {
		t.Fatalf("%q is no line to run on an agent's host", line)
	}
	return fields[3]
}

func (d *deployment) token(args ...string) string {
	d.t.Helper()
	return tokenIn(d.t, d.must(append([]string{"agents", "token"}, args...)...))
}

// agent starts an agent that joins by a token, on a data port of the system's choice.
func (d *deployment) agent(name, token string, more ...string) *process {
	d.t.Helper()
	return d.start(nil, append([]string{"agent", "-join", token, "-data", d.path(name), "-name", name, "-listen", "127.0.0.1:0"}, more...)...)
}

// state is what netp agents says of an agent; "" when it does not list it.
func (d *deployment) state(name netp.AgentID) (state string, listed enrol.Listed) {
	d.t.Helper()
	var list struct{ Agents []enrol.Listed }
	if err := json.Unmarshal([]byte(d.must("agents", "-json")), &list); err != nil {
		d.t.Fatal(err)
	}
	for _, a := range list.Agents {
		if a.Name == name {
			return a.State, a
		}
	}
	return "", enrol.Listed{}
}

func (d *deployment) await(name netp.AgentID, want string) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("agent %s is %q", name, want), func() bool {
		state, _ := d.state(name)
		return state == want
	})
}

// refused expects that an agent cannot join and says why.
func (d *deployment) refused(name, token, why string) {
	d.t.Helper()
	p := d.agent(name, token)
	if code := p.exit(); code != 1 || !strings.Contains(p.log.String(), why) {
		d.t.Errorf("agent %s: exit code %d, want 1 and %q:\n%s", name, code, why, p.log)
	}
}

// TestDaemons runs the real program: a controller, agents and commands, each a
// process.
func TestDaemons(t *testing.T) {
	binary := buildNetp(t)
	for name, test := range map[string]func(*testing.T, *deployment){
		"join":                  daemonsJoin,
		"tokens":                daemonsTokens,
		"race":                  daemonsRace,
		"revoke":                daemonsRevoke,
		"controller killed":     daemonsControllerKilled,
		"stolen key":            daemonsStolenKey,
		"own subjects only":     daemonsOwnSubjects,
		"man in the middle":     daemonsManInTheMiddle,
		"sessions after a stop": daemonsSessions,
		"history":               daemonsHistory,
		"replayed order":        daemonsReplayedOrder,
		"agent file":            daemonsAgentFile,
		"drain":                 daemonsDrain,
		"large bodies":          daemonsBodies,
	} {
		t.Run(name, func(t *testing.T) { test(t, deploy(t, binary)) })
	}
}

func daemonsJoin(t *testing.T, d *deployment) {
	syd := d.agent("syd", tokenIn(t, d.firstLine), "-tag", "site=syd", "-tag", "carrier=telco")
	mel := d.agent("mel", d.token(), "-max-rate", "100Mbps")
	d.await("syd", "ready")
	d.await("mel", "ready")
	_, a := d.state("syd")
	if a.Tags["site"] != "syd" || a.Tags["carrier"] != "telco" || len(a.Kinds) != len(agent.Engines()) || a.Version == "" || a.Address == "" || a.LastSeen.IsZero() || a.Limits.Rate != 10e6 {
		t.Errorf("listed as %+v", a)
	}
	if _, a := d.state("mel"); a.Limits.Rate != 100e6 {
		t.Errorf("mel's limits are %+v", a.Limits)
	}
	if table := d.must("agents"); !strings.Contains(table, "syd") || !strings.Contains(table, "carrier=telco site=syd") {
		t.Errorf("the table is\n%s", table)
	}
	if code := mel.terminate(); code != 0 {
		t.Errorf("a stopped agent exits with %d", code)
	}
	d.await("mel", "away")
	if table := d.must("agents"); !regexp.MustCompile(`mel +away +[0-9.]+ m?s ago .*127\.0\.0\.1:`).MatchString(table) {
		t.Errorf("the table says little of who is away:\n%s", table)
	}
	// Later starts need the directory only.
	d.start(nil, "agent", "-data", d.path("mel"), "-listen", "127.0.0.1:0")
	d.await("mel", "ready")
	other := d.start(nil, "agent", "-data", d.path("mel"), "-name", "bne", "-listen", "127.0.0.1:0")
	if code := other.exit(); code != 1 || !strings.Contains(other.log.String(), `is "mel", not "bne"`) {
		t.Errorf("another name in the directory: %d %s", code, other.log)
	}
	if code := syd.terminate(); code != 0 {
		t.Errorf("a stopped agent exits with %d", code)
	}
	for _, name := range []string{"syd/agent.key", "syd/agent.json", "controller/admin.token", "controller/ca.key", "controller/orders.key"} {
		if info, err := os.Stat(d.path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, want mode 0600", name, err)
		}
	}
	second := d.start(d.inside, "controller", "-data", d.path("controller"), "-http", freeport.Address(t), "-bus", freeport.Address(t))
	if code := second.exit(); code != 1 || !strings.Contains(second.log.String(), "in use by another running controller") {
		t.Errorf("a second controller on the directory: %d %s", code, second.log)
	}
}

func daemonsTokens(t *testing.T, d *deployment) {
	used := tokenIn(t, d.firstLine)
	d.agent("syd", used)
	d.await("syd", "ready")
	d.refused("mel", used, "has been used")
	d.refused("mel", d.token("-ttl", "1ns"), "expired at")
	d.refused("mel", d.token("-name", "bne"), "for another agent's name")
	if line := d.must("agents", "token", "-name", "bne", "-ttl", "1d"); !strings.HasSuffix(line, " -name bne\n") {
		t.Errorf("the line for bne is %q", line)
	}
	good := d.token()
	d.refused("mel", good[:len(good)-10], "cut short or mistyped")
	d.refused("mel", "nonsense", "no join token")
	// A taken name is refused, whatever the directory; the first agent keeps working.
	impostor := d.start(nil, "agent", "-join", good, "-data", d.path("impostor"), "-name", "syd", "-listen", "127.0.0.1:0")
	if code := impostor.exit(); code != 1 || !strings.Contains(impostor.log.String(), "belongs to this controller already") {
		t.Errorf("a second syd: %d %s", code, impostor.log)
	}
	d.await("syd", "ready")
	// None of these refusals used the good token up.
	d.agent("mel", good)
	d.await("mel", "ready")
	// A token of another controller, at the address of this one.
	other := deploy(t, d.binary)
	foreign, err := wire.ParseJoinToken(other.token())
	if err != nil {
		t.Fatal(err)
	}
	foreign.Controllers = []string{d.http}
	d.refused("bne", foreign.String(), "this is not the controller that made the token")
}

func daemonsRace(t *testing.T, d *deployment) {
	token := d.token()
	racers := []*process{d.agent("left", token), d.agent("right", token)}
	states := func() (ready int) {
		for _, name := range []netp.AgentID{"left", "right"} {
			if s, _ := d.state(name); s == "ready" {
				ready++
			}
		}
		return ready
	}
	eventually(t, "one racer is in, the other one has ended", func() bool {
		ended := 0
		for _, p := range racers {
			select {
			case <-p.ended:
				ended++
			default:
			}
		}
		return ended == 1 && states() == 1
	})
}

func daemonsRevoke(t *testing.T, d *deployment) {
	d.agent("syd", d.token())
	token := d.token()
	mel := d.agent("mel", token)
	d.await("syd", "ready")
	d.await("mel", "ready")
	d.must("agents", "revoke", "mel")
	d.await("mel", "")
	d.controller.awaitLog("connection to the bus refused")
	if code := mel.exit(); code != 1 || !strings.Contains(mel.log.String(), "was revoked") {
		t.Errorf("the revoked agent: exit code %d:\n%s", code, mel.log)
	}
	for _, try := range []struct{ data, token string }{{"mel", token}, {"mel", d.token()}, {"elsewhere", token}} {
		p := d.start(nil, "agent", "-join", try.token, "-data", d.path(try.data), "-name", "mel", "-listen", "127.0.0.1:0")
		if code := p.exit(); code != 1 {
			t.Errorf("%+v: the revoked agent came back: %d\n%s", try, code, p.log)
		}
	}
	if _, complaint, err := d.command("agents", "revoke", "nobody"); err == nil || !strings.Contains(complaint, "No agent with the name") {
		t.Errorf("revoke nobody: %v %s", err, complaint)
	}
	d.await("syd", "ready")
	// The name is free for a new key with a new token.
	if err := os.RemoveAll(d.path("mel")); err != nil {
		t.Fatal(err)
	}
	d.agent("mel", d.token())
	d.await("mel", "ready")
}

func daemonsControllerKilled(t *testing.T, d *deployment) {
	syd := d.agent("syd", d.token())
	d.await("syd", "ready")
	waiting := d.token()
	for range 3 {
		d.controller.kill()
		d.startController()
		d.await("syd", "ready")
	}
	select {
	case <-syd.ended:
		t.Error("the agent did not outlive the controller")
	default:
	}
	if strings.Contains(d.controller.out.String(), "-join") {
		t.Error("a later start printed a token though there are agents")
	}
	d.agent("mel", waiting) // a token made before the kill
	d.await("mel", "ready")
	if code := d.controller.terminate(); code != 0 {
		t.Errorf("the stopped controller exits with %d", code)
	}
}

// daemonsStolenKey is threats T25: a copy of an agent's directory gets no second
// connection while the agent is there, and the controller raises an alarm.
func daemonsStolenKey(t *testing.T, d *deployment) {
	d.agent("syd", d.token())
	d.await("syd", "ready")
	if err := os.CopyFS(d.path("copy"), os.DirFS(d.path("syd"))); err != nil {
		t.Fatal(err)
	}
	_, before := d.state("syd")
	d.start(nil, "agent", "-data", d.path("copy"), "-listen", "127.0.0.1:0")
	d.controller.awaitLog("somebody has a copy of its key")
	if state, after := d.state("syd"); state != "ready" || after.Address != before.Address {
		t.Errorf("the agent is %q at %s, was at %s", state, after.Address, before.Address)
	}
}

// daemonsOwnSubjects is threats T8: an agent's certificate does not let it speak
// for another.
func daemonsOwnSubjects(t *testing.T, d *deployment) {
	syd, mel := d.agent("syd", d.token()), d.agent("mel", d.token())
	d.await("syd", "ready")
	d.await("mel", "ready")
	syd.terminate()
	mel.terminate()
	d.await("mel", "away")
	m, err := join.Load(d.path("syd"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.Connect(wire.Options{URL: "tls://" + m.Bus()[0], TLS: m.TLS(), Agent: "syd"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := func(id netp.AgentID, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := wire.NewAgent(conn, id, m.OrderKey()).Hello(ctx, wire.Hello{
			MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion, Agent: netp.Agent{Name: id}, Installation: "x", Incarnation: "y", Sent: time.Now().UTC()})
		return err
	}
	if err := hello("syd", patience); err != nil {
		t.Fatalf("its own name: %v", err)
	}
	if err := hello("mel", 2*time.Second); err == nil {
		t.Error("syd spoke for mel")
	}
	if state, _ := d.state("mel"); state != "away" {
		t.Errorf("mel is %q", state)
	}
	if state, _ := d.state("syd"); state != "ready" {
		t.Errorf("syd is %q", state)
	}
}

// daemonsManInTheMiddle is threats T26: who is between and shows another key gets
// no byte of the token.
func daemonsManInTheMiddle(t *testing.T, d *deployment) {
	token, err := wire.ParseJoinToken(d.token())
	if err != nil {
		t.Fatal(err)
	}
	authority, err := enrol.Open(enrol.Options{Dir: t.TempDir(), Bus: []string{"b:1"}, Controllers: []string{"c:1"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan []byte, 1)
	go eavesdrop(l, authority, heard)
	token.Controllers = []string{l.Addr().String()}
	d.refused("syd", token.String(), "this is not the controller that made the token")
	if got := <-heard; len(got) != 0 {
		t.Errorf("the man in the middle heard %q", got)
	}
}
