//go:build linux

// Command speed measures netp and the tools it replaces side by side: in one call, in turn, each end in a process of its own,
// and prints Markdown tables with medians, ranges and ratios. netp's side are the real engines, agents and commands, built
// as for a release.
//
//	go run ./testsuites/bench/speed [-row 1,2,13] [-rounds 5] [-time 2s]
//
// IPERF3=PATH compares with another iperf3. It needs root for network namespaces and packet sockets, and the peers iperf3,
// irtt and ping; terraform where it is installed. A row that cannot run says why. Absolute figures are of the machine and of
// what else runs there: read the ratios.
//
// Start with rows (rows.go); contest.go is how tools are compared, ends.go how netp's engines are run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bench is one call of the program.
type bench struct {
	rounds int
	time   time.Duration // of one measurement, whole seconds
	iperf3 string
	dir    string // for files, removed at the end
	netp   string // path of the release build; see release
	ports  ports
}

// parts are the first arguments of this program when it plays a part for itself.
var parts = map[string]func(args []string) error{
	"end":  playEnd,
	"busy": playBusy,
	"time": playTime,
}

func main() {
	err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		return parts[os.Args[1]](os.Args[2:])
	}
	b := bench{iperf3: "iperf3"}
	if path := os.Getenv("IPERF3"); path != "" {
		b.iperf3 = path
	}
	only := flag.String("row", "", "rows to measure, by number with commas; all unless given")
	flag.IntVar(&b.rounds, "rounds", 5, "measurements per tool, interleaved")
	flag.DurationVar(&b.time, "time", 2*time.Second, "length of a measurement, whole seconds")
	flag.Parse()
	if b.rounds < 1 || b.time < time.Second || b.time%time.Second != 0 {
		return fmt.Errorf("-rounds must be at least 1, -time whole seconds: iperf3 knows no others")
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "netp-speed-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	fmt.Printf("%s; %s; median [least..most] of %d rounds, the tools in turn.\n", machine(), b.peer(), b.rounds)
	for _, r := range chosen {
		fmt.Printf("\n### %d. %s\n\nGoal: %s.\n", r.number, r.title, r.goal)
		if err := r.run(ctx, &b); err != nil {
			fmt.Printf("\nNot measured: %v.\n", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// choose gives the rows of a list of numbers.
func choose(list string) ([]row, error) {
	if list == "" {
		return rows(), nil
	}
	var chosen []row
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		i := slices.IndexFunc(rows(), func(r row) bool { return r.number == n })
		if err != nil || i < 0 {
			return nil, fmt.Errorf("-row %s: there are the rows 1 to %d", text, len(rows()))
		}
		chosen = append(chosen, rows()[i])
	}
	return chosen, nil
}

// machine describes this host without naming it.
func machine() string {
	var name unix.Utsname
	unix.Uname(&name)
	control, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return fmt.Sprintf("%d processors (%s), Linux %s, default congestion control %s, %s", runtime.NumCPU(), runtime.GOARCH,
		unix.ByteSliceToString(name.Release[:]), strings.TrimSpace(string(control)), runtime.Version())
}

// peer is the version of iperf3.
func (b *bench) peer() string {
	out, err := exec.Command(b.iperf3, "--version").Output()
	if err != nil {
		return "no iperf3"
	}
	line, _, _ := strings.Cut(string(out), " (")
	return line
}

// iperfCan says whether this iperf3 has an option.
func (b *bench) iperfCan(option string) bool {
	out, _ := exec.Command(b.iperf3, "--help").CombinedOutput()
	return strings.Contains(string(out), option)
}

// release builds netp as `make build` does, once.
func (b *bench) release(ctx context.Context) (string, error) {
	if b.netp != "" {
		return b.netp, nil
	}
	path := filepath.Join(b.dir, "netp")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/netpupper/netp/cmd/netp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build netp: %w: %s", err, out)
	}
	b.netp = path
	return path, nil
}
