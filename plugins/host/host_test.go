//go:build unix

package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp/plugins/sdk/sinktest"
)

// install puts the test's own program into a directory under plugin names.
func install(t *testing.T, dir string, kinds ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		path := filepath.Join(dir, fileName(kind))
		if os.Link(self, path) == nil {
			continue
		}
		program, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(path, program, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// quick makes failures cheap; the deadlines are still far above what a good call takes.
func quick() Policy {
	return Policy{
		StartTimeout: 15 * time.Second, CallTimeout: 10 * time.Second, CloseTimeout: time.Second, Backoff: 10 * time.Millisecond,
		MaxBackoff: 100 * time.Millisecond, OpenFor: 200 * time.Millisecond, Poll: 50 * time.Millisecond, BatchRecords: 10,
	}
}

func newHost(t *testing.T, change func(*Options), kinds ...string) *Host {
	t.Helper()
	dir := t.TempDir()
	install(t, dir, kinds...)
	run, err := os.MkdirTemp("", "np") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dirs: []string{t.TempDir(), dir}, RunDir: run, Policy: quick()}
	if change != nil {
		change(&o)
	}
	h := New(o)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		left, _ := os.ReadDir(run)
		if len(left) > 0 {
			t.Errorf("left behind in the run directory: %v", left)
		}
		_ = os.RemoveAll(run)
	})
	return h
}

func sinkOf(t *testing.T, kind string) (Sink, string) {
	path := filepath.Join(t.TempDir(), "ids")
	return Sink{Name: "sink." + kind + ".it", Type: kind, Arguments: fmt.Appendf(nil, `{"path":%q}`, path)}, path
}

// memory is a Source in memory.
type memory struct {
	mu        sync.Mutex
	records   []Numbered
	positions map[string]uint64
	fail      error
}

func newMemory(n int) *memory {
	m := &memory{positions: map[string]uint64{}}
	m.add(n)
	return m
}

func (m *memory) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := len(m.records)
	for i, r := range sinktest.Records(have + n)[have:] {
		m.records = append(m.records, Numbered{Position: uint64(have+i+1) * 3, Record: r})
	}
}

func (m *memory) ids() (out []string) {
	for _, n := range m.records {
		out = append(out, n.Record.ID)
	}
	return out
}

func (m *memory) RecordsAfter(_ context.Context, position uint64, max int) ([]Numbered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.records, position+1, func(n Numbered, p uint64) int { return int(n.Position) - int(p) })
	return slices.Clone(m.records[i:min(len(m.records), i+max)]), m.fail
}

func (m *memory) SinkPosition(_ context.Context, sink string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[sink], nil
}

func (m *memory) SetSinkPosition(_ context.Context, sink string, position uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if position < m.positions[sink] {
		return fmt.Errorf("position of %s goes back from %d to %d", sink, m.positions[sink], position)
	}
	m.positions[sink] = position
	return nil
}

// eventually waits for something that is bound to happen.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

// running runs a delivery until the test ends or the function given back is called.
func running(t *testing.T, d *Delivery) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range d.States() {
				t.Logf("%+v", s)
			}
		}
		stop()
	})
	return stop
}

func lines(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}

func deduplicated(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool { was := seen[s]; seen[s] = true; return was })
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

func zombie(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(status), "State:\tZ")
}

func TestFind(t *testing.T) {
	h := newHost(t, nil, "good", "crash")
	if got, want := h.Types(), []string{"crash", "good"}; !slices.Equal(got, want) {
		t.Errorf("Types() = %v, want %v", got, want)
	}
	_, err := h.Find("goood")
	if missing := (*NotFound)(nil); !errors.As(err, &missing) || !strings.Contains(err.Error(), `Did you mean the sink "good"?`) || !strings.Contains(err.Error(), h.options.Dirs[0]) {
		t.Errorf("Find(goood) = %v", err)
	}
	if _, err := h.Find("../good"); err == nil {
		t.Error("Find took a type with a separator")
	}
	if faults := h.Check(t.Context(), Sink{Type: "kafka"}); len(faults) != 1 || faults[0].Summary != "Plugin not found" || !strings.Contains(faults[0].Detail, "make plugins") {
		t.Errorf("Check of a missing plugin = %+v", faults)
	}
}

func TestCheck(t *testing.T) {
	h := newHost(t, nil, "good")
	for _, test := range []struct {
		name, arguments string
		secrets         map[string]string
		want            []string // attribute: words of the fault
	}{
		{"right", `{"path":"/x","count":"5"}`, map[string]string{"token": "abcd"}, nil},
		{"unknown", `{"path":"/x","cuont":5}`, nil, []string{`cuont: Unknown argument … Did you mean "count"?`}},
		{"missing", `{}`, nil, []string{"path: Missing argument … File to append ids to."}},
		{"types", `{"path":["a"],"count":"many"}`, nil, []string{"path: Invalid type … must be a string; this is a list", "count: Invalid type … must be a number"}},
		{"by the plugin", `{"path":"/x","pause":"long"}`, nil, []string{`pause: Invalid argument … "long" is no duration`}},
		{"no object", `[1]`, nil, []string{": Invalid arguments … no JSON object"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			faults := h.Check(t.Context(), Sink{Name: "sink.good.x", Type: "good", Arguments: []byte(test.arguments), Secrets: test.secrets})
			if len(faults) != len(test.want) {
				t.Fatalf("Check(%s) = %+v, want %d faults", test.arguments, faults, len(test.want))
			}
			for i, f := range faults {
				head, words, _ := strings.Cut(test.want[i], " … ")
				if f.Attribute+": "+f.Summary != head || !strings.Contains(f.Detail, words) {
					t.Errorf("fault %+v, want %q", f, test.want[i])
				}
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	for kind, want := range map[string]string{
		"garbage": "hello, I am not a plugin", "endless": "xxxx", "die": "no licence found",
		"remote": "only a unix socket in its own directory", "outside": "only a unix socket in its own directory", "liar": "no socket",
		"newer": "99", "badschema": "no name for an attribute", "silent": "in time", "mute": "in time",
	} {
		t.Run(kind, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("the zoo reads /proc: needs Linux")
			}
			h := newHost(t, func(o *Options) {
				if kind == "silent" || kind == "mute" {
					o.Policy.StartTimeout = 500 * time.Millisecond
				}
			}, kind)
			i, err := h.start(t.Context(), Sink{Name: "sink." + kind, Type: kind})
			_ = os.Remove(filepath.Join(h.options.RunDir, "netp-outside.sock"))
			if err == nil {
				i.kill()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), want) || len(err.Error()) > 2*maxErrorText {
				t.Errorf("start: %v; want %q in it", err, want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for constraint, want := range map[string]string{"~> 1.2": "", ">= 2.0": `asks for version ">= 2.0", and this is 1.2.3`, "new": "no version constraint"} {
		h := newHost(t, func(o *Options) { o.Versions = map[string]string{"good": constraint} }, "good")
		_, err := h.Describe(t.Context(), "good")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("constraint %q: %v, want %q", constraint, err, want)
		}
	}
}

func TestLock(t *testing.T) {
	h := newHost(t, nil, "good", "crash")
	lock, err := h.Lock(t.Context(), []string{"good", "crash"})
	if err != nil || len(lock) != 2 || lock[1].Type != "good" || lock[1].Version != "1.2.3" || len(lock[1].Hashes[Platform()]) != len("sha256:")+64 {
		t.Fatalf("Lock = %+v, %v", lock, err)
	}
	other := []LockEntry{{"good", "1.2.3", map[string]string{Platform(): lock[1].Hashes[Platform()], "plan9_mips": "sha256:1"}}}
	kept, err := newHost(t, func(o *Options) { o.Lock = other }, "good").Lock(t.Context(), []string{"good"})
	if err != nil || len(kept[0].Hashes) != 2 {
		t.Errorf("Lock = %+v, %v; want the hash of the other platform kept", kept, err)
	}
	for name, test := range map[string]struct {
		lock []LockEntry
		want string
	}{
		"other hash":     {[]LockEntry{{"good", "1.2.3", map[string]string{Platform(): "sha256:00"}}}, "not the program that was locked"},
		"other platform": {[]LockEntry{{"good", "1.2.3", map[string]string{"plan9_mips": "sha256:00"}}}, "no hash of this plugin for"},
		"not there":      {[]LockEntry{}, "not in the lock file"},
	} {
		h := newHost(t, func(o *Options) { o.Lock = test.lock }, "good")
		if _, err := h.Describe(t.Context(), "good"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestRunsTheBytesItHashed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName("good"))
	evil := []byte("#!/bin/sh\ntouch " + dir + "/ran\n")
	h := newHost(t, func(o *Options) { o.Dirs = []string{dir} })
	install(t, dir, "good")
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := h.Lock(t.Context(), []string{"good"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // not through the link: that is this test's program
		t.Fatal(err)
	}
	swap := func(bytes []byte) {
		temp := filepath.Join(dir, "new")
		if err := errors.Join(os.WriteFile(temp, bytes, 0o755), os.Rename(temp, path)); err != nil {
			t.Error(err)
		}
	}
	swap(evil)
	if _, err := h.Describe(t.Context(), "good"); err != nil {
		t.Errorf("a host that has hashed a program must go on with those bytes: %v", err)
	}
	started, refused := 0, 0
	for n := range 12 {
		swap([][]byte{program, evil}[n%2])
		var swapping sync.WaitGroup
		swapping.Go(func() { swap(evil); swap(program); swap(evil) })
		next := newHost(t, func(o *Options) { o.Dirs = []string{dir}; o.Lock = lock })
		if _, err := next.Describe(t.Context(), "good"); err == nil {
			started++
		} else if refused++; !strings.Contains(err.Error(), "not the program that was locked") {
			t.Errorf("refused for another reason: %v", err)
		}
		swapping.Wait()
	}
	if _, err := os.Stat(dir + "/ran"); err == nil {
		t.Error("a program that was never locked has run")
	}
	t.Logf("%d started, %d refused", started, refused)
}

func TestRunDirTooLong(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "good")
	h := New(Options{Dirs: []string{dir}, RunDir: "/" + strings.Repeat("d", maxRunDir)})
	if _, err := h.Describe(t.Context(), "good"); err == nil || !strings.Contains(err.Error(), "names of sockets are short") {
		t.Errorf("Describe = %v", err)
	}
}

func TestRefusesProgramsAnybodyCanChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName("good"))
	if err := errors.Join(os.WriteFile(path, []byte("#!/bin/true"), 0o600), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	h := New(Options{Dirs: []string{dir}})
	defer h.Close()
	if _, err := h.Describe(t.Context(), "good"); err == nil || !strings.Contains(err.Error(), "every user") {
		t.Errorf("Describe = %v", err)
	}
}

func TestScriptsRunFromTheHashedBytes(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'a script ran' >&2\nexit 4\n"
	if err := os.WriteFile(filepath.Join(dir, fileName("script")), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, func(o *Options) { o.Dirs = []string{dir} })
	if _, err := h.Describe(t.Context(), "script"); err == nil || !strings.Contains(err.Error(), "a script ran") {
		t.Errorf("Describe = %v, want the script's own words", err)
	}
}

func TestPluginGetsNothingOfTheHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc: needs Linux")
	}
	t.Setenv("CANARY", "tweet")
	canary, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	if _, err := syscall.Dup(int(canary.Fd())); err != nil { // without close-on-exec, as careless code does
		t.Fatal(err)
	}
	h := newHost(t, nil, "dump")
	s, path := sinkOf(t, "dump")
	if left := h.Drain(t.Context(), newMemory(3), []Sink{s}); left[0].Delivered != 3 {
		t.Fatalf("Drain = %+v", left)
	}
	text, err := os.ReadFile(path + ".dump")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		variable, _, _ := strings.Cut(value, "=")
		switch {
		case name == "env" && !strings.HasPrefix(variable, "PLUGIN_") && variable != "TMPDIR" && variable != "NETP_SINK_PLUGIN":
			t.Errorf("the plugin sees the environment variable %s", variable)
		case name == "fd" && strings.Contains(value, "/dev/null") && !strings.HasPrefix(value, "0 "):
			t.Errorf("the plugin inherited descriptor %s", value)
		}
	}
	for _, want := range []string{"NoNewPrivs:\t1", "exe /memfd:netp-sink", "Max core file size        0 "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the plugin's process lacks %q:\n%s", want, text)
		}
	}
}

func TestNoSecretInLogsAndErrors(t *testing.T) {
	var logged syncBuffer
	h := newHost(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	}, "refuse")
	s, _ := sinkOf(t, "refuse")
	s.Secrets = map[string]string{"token": "hunter2/%&"}
	d := h.NewDelivery(newMemory(2))
	d.Set([]Sink{s})
	stop := running(t, d)
	eventually(t, "the sink has failed", func() bool { s := d.States(); return len(s) == 1 && s[0].Failures > 0 })
	stop()
	states := d.States()
	if !strings.Contains(states[0].LastError, "said no to token (sensitive)") || states[0].Pending != 2 || !states[0].Failing {
		t.Errorf("state %+v", states[0])
	}
	if strings.Contains(logged.String(), "hunter2") || !strings.Contains(logged.String(), "(sensitive)") {
		t.Errorf("log:\n%s", logged.String())
	}
}

// syncBuffer is a buffer for a log that is read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// hostUntilKilled is the program of TestNothingLeftOfAKilledHost: it starts the plugins in a directory,
// says so, and hangs.
func hostUntilKilled(dir string) {
	h := New(Options{Dirs: []string{dir}, RunDir: os.Getenv("NETP_TEST_RUN"), Policy: Policy{StartTimeout: time.Hour}})
	for _, kind := range []string{"good", "silent"} {
		go func() { _, _ = h.start(context.Background(), Sink{Name: kind, Type: kind}) }()
	}
	fmt.Println("started")
	select {}
}

func TestNothingLeftOfAKilledHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds processes in /proc: needs Linux")
	}
	dir := t.TempDir()
	install(t, dir, "good", "silent")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp("", "np")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "NETP_TEST_HOST="+dir, "NETP_TEST_RUN="+run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("the host said %q, %v", line, err)
	}
	var pids []int
	eventually(t, "both plugins run", func() bool { pids = children(cmd.Process.Pid); return len(pids) == 2 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "no plugin is left", func() bool { return !slices.ContainsFunc(pids, alive) })
	h := New(Options{Dirs: []string{dir}, RunDir: run, Policy: quick()})
	if _, err := h.Describe(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
		t.Errorf("the next host left of the killed one: %v, %v", left, err)
	}
}

// children lists the plugin processes of a process.
func children(parent int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
		command, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		_, rest, found := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if err == nil && found && len(fields) > 1 && fields[1] == strconv.Itoa(parent) && strings.HasPrefix(string(command), filePrefix) {
			pids = append(pids, pid)
		}
	}
	return pids
}
