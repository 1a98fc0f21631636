// Package host finds sink plugins, runs them and delivers records to them. A plugin is
// a program of its own that nobody has to trust: it is run from the bytes that were
// hashed, without the host's environment or descriptors, talks over one private
// socket, and each call to it has a deadline and a size limit. Whatever it does, it
// delays no other sink and loses no record.
//
// The package keeps no records: a Source does, together with the position each sink
// has reached. It knows no HCL: cmd/netp hands it arguments as JSON.
//
// Start with Options and Host, then Check (plan time), Delivery (standing) and Drain
// (one shot).
package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-version"

	"github.com/netpupper/netp/hold"
	"github.com/netpupper/netp/plugins/sdk"
	"github.com/netpupper/netp/suggest"
)

// Options say where plugins are and how they are treated.
type Options struct {
	// Dirs are searched in order for netp-sink-TYPE (netp-sink-TYPE.exe on Windows).
	Dirs []string
	// Versions holds the version constraints of the netp block by plugin type: "~> 1.2".
	Versions map[string]string
	// Lock holds the hashes of the plugins that may run; nil when nothing is locked.
	Lock []LockEntry
	// RunDir is where the directory of the plugins' private sockets is made; "" for the system's
	// temporary directory. Socket names are short: it has at most 48 bytes.
	RunDir string
	// Directory is where relative file names of sinks start; "" for the current one.
	Directory string
	// Confined keeps sinks to files below Directory: set it for suites of others.
	Confined bool
	// Logger gets what plugins log and what happens to them; nil for nobody.
	Logger *slog.Logger
	// Rejected is told of each record a sink will never take; it may be nil. It may be
	// called concurrently for different sinks.
	Rejected func(sink string, record sdk.Rejection)
	// Policy bounds time and size; zero fields have defaults.
	Policy Policy
}

// Policy bounds time and size; zero fields have the defaults named.
type Policy struct {
	StartTimeout time.Duration // from start to the first answer: 10 s
	CallTimeout  time.Duration // of one Write: 30 s
	CloseTimeout time.Duration // from the polite request to SIGKILL: 2 s
	Backoff      time.Duration // first pause after a failure, doubled up to MaxBackoff: 250 ms
	MaxBackoff   time.Duration // 30 s
	OpenAfter    int           // failures in a row that open the circuit: 5
	OpenFor      time.Duration // pause between two tries of an open circuit: 1 min
	Poll         time.Duration // how often the source is asked without being woken: 1 s
	BatchRecords int           // records per Write: 100
	BatchBytes   int           // JSON per Write, unless one record alone is larger: 3 MiB
}

func (p Policy) complete() Policy {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.StartTimeout, 10 * time.Second}, {&p.CallTimeout, 30 * time.Second}, {&p.CloseTimeout, 2 * time.Second},
		{&p.Backoff, 250 * time.Millisecond}, {&p.MaxBackoff, 30 * time.Second}, {&p.OpenFor, time.Minute}, {&p.Poll, time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&p.OpenAfter, 5}, {&p.BatchRecords, 100}, {&p.BatchBytes, 3 << 20}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	return p
}

// Sink is one declared receiver.
type Sink struct {
	// Name tells the sink from all others of the source, and names its position.
	Name string
	Type string
	// Suite limits the sink to the records of one suite; "" for all.
	Suite string
	// Arguments is a JSON object without the secrets, which are named as in sdk.Schema.Fill.
	Arguments []byte
	Secrets   map[string]string
}

// Host runs the plugins of one process. Its methods may be called concurrently.
type Host struct {
	options Options
	policy  Policy
	log     *slog.Logger

	mu     sync.Mutex
	images map[string]*image // by type: read once, run for as long as the host lives
	run    *hold.Directory   // of sockets and images; nil before the first start
}

// New makes a Host; it neither starts nor reads anything.
func New(o Options) *Host {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Host{options: o, policy: o.Policy.complete(), log: o.Logger, images: map[string]*image{}}
}

// Close frees the plugins' images and removes their directory; deliveries must have ended.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var first error
	for kind, image := range h.images {
		if err := image.close(); err != nil && first == nil {
			first = fmt.Errorf("close plugin %s: %w", kind, err)
		}
	}
	clear(h.images)
	if h.run != nil {
		if err := h.run.Release(); err != nil && first == nil {
			first = fmt.Errorf("remove the plugins' directory: %w", err)
		}
		h.run = nil
	}
	return first
}

const (
	runPrefix = "netp-s"
	// maxRunDir leaves room for ten digits each in the names that follow, within the 103 bytes of a socket's name:
	// ours, and go-plugin's /plugin-dir and /plugin.
	maxRunDir = 103 - len("/"+runPrefix+"/plugin-dir/plugin") - 3*10
)

// runDir is the directory of the plugins' sockets and images. What a killed process left of its own goes when it is made.
// The caller holds mu.
func (h *Host) runDir() (string, error) {
	if h.run != nil {
		return h.run.Path(), nil
	}
	parent := cmp.Or(h.options.RunDir, os.TempDir())
	if len(parent) > maxRunDir {
		return "", fmt.Errorf("the directory for sockets, %s, has a name of more than %d bytes: names of sockets are short; set TMPDIR to a shorter one", parent, maxRunDir)
	}
	var err error
	if h.run, err = hold.Temporary(parent, runPrefix); err != nil {
		return "", fmt.Errorf("make a directory for sockets: %w", err)
	}
	return h.run.Path(), nil
}

const filePrefix = "netp-sink-"

func fileName(kind string) string {
	if runtime.GOOS == "windows" {
		return filePrefix + kind + ".exe"
	}
	return filePrefix + kind
}

// NotFound is the error for a plugin that is in none of the directories.
type NotFound struct {
	Type   string
	Looked []string // directories, in order
	Others []string // types that are there
}

// Error says where was looked and what to do.
func (n *NotFound) Error() string {
	text := fmt.Sprintf("There is no %s in %s.", fileName(n.Type), strings.Join(n.Looked, ", "))
	if len(n.Looked) == 0 {
		text = fmt.Sprintf("There is no directory to look for %s in.", fileName(n.Type))
	}
	if near := suggest.Nearest(n.Type, n.Others); near != "" {
		return text + fmt.Sprintf(" Did you mean the sink %q?", near)
	}
	if len(n.Others) > 0 {
		text += " Found there: " + strings.Join(n.Others, ", ") + "."
	}
	return text + " Build the bundled plugins with make plugins, or put the program into one of these directories, or name its directory in NETP_PLUGIN_DIR."
}

// Find looks for the program of a sink type; the error is a *NotFound when there is none.
func (h *Host) Find(kind string) (string, error) {
	for _, dir := range h.options.Dirs {
		path := filepath.Join(dir, fileName(kind))
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && validType(kind) {
			return path, nil
		}
	}
	return "", &NotFound{kind, h.options.Dirs, h.Types()}
}

// Types lists the sink types that are found in the directories, sorted.
func (h *Host) Types() []string {
	var found []string
	for _, dir := range h.options.Dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			kind, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".exe"), filePrefix)
			if ok && validType(kind) && e.Name() == fileName(kind) {
				found = append(found, kind)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// validType keeps separators and other surprises out of file names.
func validType(kind string) bool {
	return kind != "" && len(kind) <= 64 && strings.IndexFunc(kind, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// image finds, reads, hashes and checks a plugin's program, once for each type.
func (h *Host) image(kind string) (*image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.images[kind]; i != nil {
		return i, nil
	}
	path, err := h.Find(kind)
	if err != nil {
		return nil, err
	}
	run, err := h.runDir()
	if err != nil {
		return nil, err
	}
	i, err := readImage(path, run)
	if err != nil {
		return nil, err
	}
	if err := h.locked(kind, i.hash); err != nil {
		_ = i.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	h.images[kind] = i
	return i, nil
}

// fits checks a running plugin's description against what was asked for.
func (h *Host) fits(kind string, d sdk.Description) error {
	if d.Name != kind {
		return fmt.Errorf("the program calls itself %q, not %q", d.Name, kind)
	}
	if err := d.Schema.Check(); err != nil {
		return err
	}
	have, err := version.NewVersion(d.Version)
	if err != nil {
		return fmt.Errorf("%q is no version: %w", d.Version, err)
	}
	want := h.options.Versions[kind]
	if want == "" {
		return nil
	}
	constraints, err := version.NewConstraint(want)
	if err != nil {
		return fmt.Errorf("the netp block asks for version %q, which is no version constraint: %w", want, err)
	}
	if !constraints.Check(have) {
		return fmt.Errorf("the netp block asks for version %q, and this is %s", want, d.Version)
	}
	return nil
}

// Describe starts a plugin, asks who it is and which arguments it takes, and stops it.
func (h *Host) Describe(ctx context.Context, kind string) (sdk.Description, error) {
	i, err := h.start(ctx, Sink{Name: "describe", Type: kind})
	if err != nil {
		return sdk.Description{}, err
	}
	defer i.stop()
	return i.description, nil
}
