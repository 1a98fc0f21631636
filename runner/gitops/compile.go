package gitops

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime/debug"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/quantity"
)

// CompileArgument is the first and only argument with which Compile starts the
// running program again; main calls CompileMain when it sees it.
const CompileArgument = "compile-suite-in-child"

// CompileOptions say with what suites are loaded, and what the child may take.
type CompileOptions struct {
	// Lang is how suites are loaded. Its Environ is not used: see Environment.
	// Its Catalogue must be the one the program gives CompileMain.
	Lang lang.Options
	// Environment is all that env() finds.
	Environment map[string]string
	// MemoryBytes is what the child may take beyond its own start; default 512 MiB.
	MemoryBytes int64
	// Time is the child's deadline; default 10 s.
	Time time.Duration
	// Program is the binary to start; default: the running one.
	Program string
}

// options are Lang's with the given environment.
func (o CompileOptions) options() lang.Options {
	l := o.Lang
	l.Environ = lookup(o.Environment)
	return l
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// Compiled is what the child found.
type Compiled struct {
	OK bool `json:"ok"`
	// Name and Hash are the suite's; "" unless OK.
	Name        string    `json:"name"`
	Hash        string    `json:"hash"`
	Tests       int       `json:"tests"`
	Diagnostics diag.List `json:"diagnostics"`
}

// order is what the child is told on its standard input.
type order struct {
	Dir          string               `json:"dir"`
	Version      string               `json:"version"`
	Limits       lang.Limits          `json:"limits"`
	EnvVariables []lang.VariableValue `json:"env_variables"`
	Variables    []lang.VariableValue `json:"variables"`
	Environment  map[string]string    `json:"environment"`
	MemoryBytes  int64                `json:"memory_bytes"`
	Seconds      int64                `json:"seconds"`
}

// maxAnswer bounds what a child may say.
const maxAnswer = 8 << 20

// Compile loads the suite in dir in a child process that has little memory, little
// time, an empty environment and nothing to lose. Faults of the suite are in
// Compiled; an error means that the child did not finish: it took too much, or it
// could not be started.
func Compile(ctx context.Context, dir string, o CompileOptions) (Compiled, error) {
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 512<<20)
	o.Time = cmp.Or(o.Time, 10*time.Second)
	program, err := o.program()
	if err != nil {
		return Compiled{}, err
	}
	in, err := json.Marshal(order{Dir: dir, Version: o.Lang.Version, Limits: o.Lang.Limits, EnvVariables: o.Lang.EnvVariables,
		Variables: o.Lang.Variables, Environment: o.Environment, MemoryBytes: o.MemoryBytes, Seconds: int64(max(o.Time/time.Second, 1))})
	if err != nil {
		return Compiled{}, err
	}
	child, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	cmd := exec.CommandContext(child, program, CompileArgument)
	ownGroup(cmd)
	cmd.Env = []string{"GOTRACEBACK=single"}
	cmd.Dir = os.TempDir()
	cmd.Stdin = bytes.NewReader(in)
	out, err := output(child, cmd, maxAnswer)
	if ctx.Err() != nil {
		return Compiled{}, ctx.Err()
	}
	if err != nil {
		return Compiled{}, fmt.Errorf("the process that compiles the suite did not finish within %s and %d MiB: %w", quantity.Duration(o.Time), o.MemoryBytes>>20, err)
	}
	var c Compiled
	if err := json.Unmarshal(out, &c); err != nil {
		return Compiled{}, fmt.Errorf("read what the compiling process says: %w", err)
	}
	if c.OK == c.Diagnostics.HasErrors() {
		return Compiled{}, errors.New("the compiling process contradicts itself")
	}
	return c, nil
}

func (o CompileOptions) program() (string, error) {
	if o.Program != "" {
		return o.Program, nil
	}
	return os.Executable()
}

// CompileMain is the child's side of Compile: it binds itself, loads what in tells
// and writes the answer to out. The program ends with the code it returns.
func CompileMain(catalogue netp.Catalogue, in io.Reader, out io.Writer) int {
	var o order
	if err := json.NewDecoder(io.LimitReader(in, 64<<20)).Decode(&o); err != nil {
		return 2
	}
	debug.SetMemoryLimit(o.MemoryBytes / 4 * 3)
	if err := bindSelf(o.MemoryBytes, o.Seconds); err != nil {
		return 3
	}
	suite, ds := lang.Load(o.Dir, lang.Options{Catalogue: catalogue, Version: o.Version, Limits: o.Limits,
		EnvVariables: o.EnvVariables, Variables: o.Variables, Environ: lookup(o.Environment)})
	c := Compiled{Diagnostics: ds}
	if suite != nil {
		c.OK, c.Name, c.Hash, c.Tests = true, suite.Name, suite.Hash, len(suite.Tests)
	}
	if err := json.NewEncoder(out).Encode(c); err != nil {
		return 4
	}
	return 0
}

// Suite is one loaded suite of a revision.
type Suite struct {
	// Dir is its directory from the source's root, "." for the root itself.
	Dir string
	*lang.Suite
}

// load compiles every suite of a snapshot in a child and, when all are sound, loads
// them here. One that is not makes the whole revision a fault: a commit is applied
// as one. Without an error, what it found are warnings.
func load(ctx context.Context, s *Snapshot, o CompileOptions) (suites []Suite, found diag.List, err error) {
	names := map[string]string{}
	for _, dir := range s.Suites {
		full := path.Join(s.Dir, dir)
		c, err := Compile(ctx, full, o)
		if err != nil {
			return nil, nil, fault(ReasonLoad, "suite in %s: %w", dir, err)
		}
		found = append(found, fromRoot(dir, c.Diagnostics)...)
		if !c.OK {
			continue
		}
		suite, ds := lang.Load(full, o.options())
		if suite == nil || suite.Hash != c.Hash {
			return nil, nil, fault(ReasonLoad, "suite in %s: the child loaded it and this process does not: %v", dir, ds.Err())
		}
		if other, ok := names[suite.Name]; ok {
			return nil, nil, fault(ReasonLoad, "the suites in %s and %s are both named %q: names keep their records apart", other, dir, suite.Name)
		}
		names[suite.Name] = dir
		suites = append(suites, Suite{Dir: dir, Suite: suite})
	}
	if found.HasErrors() {
		f := fault(ReasonLoad, "%w", found.Err())
		f.Diagnostics = found
		return nil, nil, f
	}
	return suites, found, nil
}

// fromRoot makes the file names of diagnostics start at the source's root.
func fromRoot(dir string, ds diag.List) diag.List {
	for i := range ds {
		if ds[i].Range != nil {
			r := *ds[i].Range
			r.Filename = path.Join(dir, r.Filename)
			ds[i].Range = &r
		}
	}
	return ds
}
