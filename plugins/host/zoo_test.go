//go:build unix

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// TestMain lets the test's own program play all plugins of the zoo: the name it is
// started under says which.
func TestMain(m *testing.M) {
	name, isPlugin := strings.CutPrefix(filepath.Base(os.Args[0]), filePrefix)
	switch {
	case isPlugin && raw[name] != nil:
		raw[name]()
	case isPlugin:
		sdk.Serve(sdk.Info{Name: name, Version: "1.2.3"}, func() sdk.Sink { return &animal{kind: name} })
	case os.Getenv("NETP_TEST_HOST") != "":
		hostUntilKilled(os.Getenv("NETP_TEST_HOST"))
	default:
		os.Exit(m.Run())
	}
}

// raw are the animals that do not even use the SDK.
var raw = map[string]func(){
	"garbage": func() { fmt.Println("hello, I am not a plugin"); forever() },
	"endless": func() {
		for {
			fmt.Print(strings.Repeat("x", 1<<16))
		}
	},
	"silent":  forever,
	"die":     func() { fmt.Fprintln(os.Stderr, "no licence found"); os.Exit(7) },
	"remote":  func() { shake("tcp", "127.0.0.1:9"); forever() },
	"liar":    func() { shake("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "nothing")); forever() },
	"newer":   func() { fmt.Println("1|99|unix|/nowhere|grpc|"); forever() },
	"outside": func() { listen(filepath.Join(os.TempDir(), "..", "netp-outside.sock")) },
	"mute":    func() { listen(filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute")) },
}

func forever() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for {
		time.Sleep(time.Hour)
	}
}

func shake(network, address string) { fmt.Printf("1|1|%s|%s|grpc|\n", network, address) }

// listen takes connections and says nothing on them.
func listen(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer l.Close()
	shake("unix", path)
	for {
		if _, err := l.Accept(); err != nil {
			return
		}
	}
}

// animal is a sink that misbehaves in the way its name says; good does not.
type animal struct {
	kind   string
	config struct {
		Path  string `json:"path"`
		Token string `json:"token"`
		Pause string `json:"pause"`
	}
}

func (a *animal) Schema() sdk.Schema {
	if a.kind == "badschema" {
		return sdk.Schema{{Name: "Path!", Type: "colour"}}
	}
	return sdk.Schema{
		{Name: "path", Type: sdk.String, Required: true, Doc: "File to append ids to."},
		{Name: "token", Type: sdk.String, Sensitive: true, Doc: "A secret."},
		{Name: "pause", Type: sdk.String, Default: "0s", Doc: "Time per record."},
		{Name: "count", Type: sdk.Number, Doc: "A number."},
	}
}

func (a *animal) Configure(_ context.Context, c sdk.Config) error {
	if err := c.Decode(&a.config); err != nil {
		return err
	}
	if _, err := time.ParseDuration(a.config.Pause); err != nil {
		return sdk.Invalid("pause", "%q is no duration; write it like \"20ms\".", a.config.Pause)
	}
	return nil
}

func (a *animal) Write(ctx context.Context, records []netp.Record) error {
	switch a.kind {
	case "crash":
		panic("zoo")
	case "flaky":
		return a.flaky(records)
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "ignorectx":
		select {}
	case "huge":
		return &sdk.Rejected{Records: []sdk.Rejection{{ID: "x", Reason: strings.Repeat("y", 20<<20)}}}
	case "refuse":
		return fmt.Errorf("the receiver said no to token %s", a.config.Token)
	case "reject":
		return sdk.Isolate(ctx, records, a.picky)
	case "flood":
		line := bytes.Repeat([]byte("noise "), 100)
		for range 3000 {
			_, _ = syscall.Write(2, append(line, '\n'))
		}
	case "dump":
		if err := a.dump(); err != nil {
			return err
		}
	case "fork":
		child := exec.Command("/bin/sleep", "1000")
		child.Stdout, child.Stderr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")
		if err := child.Start(); err != nil {
			return err
		}
		if err := os.WriteFile(a.config.Path+".child", []byte(fmt.Sprint(child.Process.Pid)), 0o600); err != nil {
			return err
		}
	}
	return a.keep(ctx, records)
}

// flaky ends in the middle of every other batch.
func (a *animal) flaky(records []netp.Record) error {
	mark := a.config.Path + ".ran"
	if err := os.Remove(mark); err == nil {
		return a.keep(context.Background(), records)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	if err := a.keep(context.Background(), records[:len(records)/2]); err != nil {
		return err
	}
	os.Exit(9)
	return nil
}

// picky takes no record whose session failed.
func (a *animal) picky(ctx context.Context, records []netp.Record) error {
	for _, r := range records {
		if r.Result.Failure != nil {
			return sdk.Permanent(errors.New("no failures here"))
		}
	}
	return a.keep(ctx, records)
}

func (a *animal) keep(ctx context.Context, records []netp.Record) error {
	f, err := os.OpenFile(a.config.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	pause, _ := time.ParseDuration(a.config.Pause)
	for _, r := range records {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := fmt.Fprintln(f, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// dump writes down everything the process got from its host.
func (a *animal) dump() error {
	var out strings.Builder
	fmt.Fprintf(&out, "pid %d\n", os.Getpid())
	for _, e := range os.Environ() {
		fmt.Fprintf(&out, "env %s\n", strings.ReplaceAll(e, "\n", " "))
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		fmt.Fprintf(&out, "fd %s %s\n", fd.Name(), target)
	}
	status, err := os.ReadFile("/proc/self/status")
	out.Write(status)
	limits, _ := os.ReadFile("/proc/self/limits")
	out.Write(limits)
	exe, _ := os.Readlink("/proc/self/exe")
	fmt.Fprintf(&out, "exe %s\n", exe)
	return errors.Join(err, os.WriteFile(a.config.Path+".dump", []byte(out.String()), 0o600))
}

func (a *animal) Close() error {
	if a.kind == "noclose" {
		select {}
	}
	return nil
}
