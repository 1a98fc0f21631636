package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// workflow is a GitHub workflow, as far as it is run here.
type workflow struct {
	Defaults struct{ Run struct{ Shell string } }
	Env      map[string]string
	Jobs     map[string]struct{ Steps []step }
}

type step struct {
	Name, Uses, Run, If string
	Env, With           map[string]string
}

// pipeline is a GitLab pipeline: jobs by name, beside settings.
type pipeline map[string]struct {
	Extends      string
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Rules        []struct{ If string }
	AllowFailure struct {
		ExitCodes int `yaml:"exit_codes"`
	} `yaml:"allow_failure"`
	Artifacts struct {
		When    string
		Paths   []string
		Reports struct{ JUnit string }
	}
}

// readYAML reads a template of deploy/ci.
func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "ci", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// forge is a checked-out suite on a runner: a directory, and a PATH with netp and
// what stands for the tools that need the forge. They write down how they are called.
type forge struct {
	t        *testing.T
	dir, bin string
	values   map[string]string // of expressions and variables
}

func newForge(t *testing.T, binary, suite string, values map[string]string) *forge {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	f := &forge{t: t, dir: t.TempDir(), bin: t.TempDir(), values: values}
	f.write(filepath.Join(f.dir, "suite.hcl"), suite, 0o600)
	for _, tool := range []string{"go", "gh"} {
		f.write(filepath.Join(f.bin, tool), fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >> %q\n", tool, filepath.Join(f.bin, "calls")), 0o700)
	}
	if err := os.Symlink(binary, filepath.Join(f.bin, "netp")); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forge) write(path, text string, mode os.FileMode) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		f.t.Fatal(err)
	}
}

func (f *forge) read(path ...string) string {
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.t.Fatal(err)
	}
	return string(text)
}

func (f *forge) file(name string) string { return f.read(f.dir, name) }
func (f *forge) calls() string           { return f.read(f.bin, "calls") }

// bash runs a script as the forges do and gives its exit code.
func (f *forge) bash(script string, env map[string]string) (code int, output string) {
	f.t.Helper()
	file := filepath.Join(f.bin, "script.sh")
	f.write(file, script, 0o600)
	ctx, cancel := context.WithTimeout(f.t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir = f.dir
	cmd.Env = []string{"PATH=" + f.bin + ":" + os.Getenv("PATH"), "HOME=" + f.bin, "CI=true", "GITHUB_STEP_SUMMARY=" + filepath.Join(f.bin, "summary.md")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

var expression = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)

// resolve puts the values in the place of expressions.
func (f *forge) resolve(texts map[string]string) map[string]string {
	f.t.Helper()
	out := make(map[string]string)
	for name, text := range texts {
		out[name] = expression.ReplaceAllStringFunc(text, func(e string) string {
			e = expression.FindStringSubmatch(e)[1]
			term, otherwise, _ := strings.Cut(e, " || ")
			if !regexp.MustCompile(`^(secrets|vars|github)\.[A-Za-z_.]+$`).MatchString(term) {
				f.t.Errorf("the expression %s is not understood here", e)
			}
			if value := f.values[term]; value != "" {
				return value
			}
			return strings.Trim(otherwise, "'")
		})
	}
	return out
}

// github runs the job of a workflow to its end and gives the exit code of the first
// step that failed.
func (f *forge) github(job string) (code int, output string) {
	f.t.Helper()
	var w workflow
	readYAML(f.t, "github/netp.yml", &w)
	if w.Defaults.Run.Shell != "bash" || len(w.Jobs[job].Steps) == 0 {
		f.t.Fatalf("the workflow has the shell %q and %d steps in %s", w.Defaults.Run.Shell, len(w.Jobs[job].Steps), job)
	}
	var all strings.Builder
	for _, s := range w.Jobs[job].Steps {
		if s.Uses != "" || code != 0 && !strings.Contains(s.If, "!cancelled()") || strings.Contains(s.If, "vars.NETP_COMMENT") && f.values["vars.NETP_COMMENT"] != "true" {
			continue
		}
		env := f.resolve(w.Env)
		maps.Copy(env, f.resolve(s.Env))
		c, out := f.bash(s.Run, env)
		all.WriteString(out)
		if code == 0 {
			code = c
		}
	}
	return code, all.String()
}

// gitlab runs the job of a pipeline: its scripts are one, in one shell.
func (f *forge) gitlab(job string) (code int, output string) {
	f.t.Helper()
	var settings struct{ Variables map[string]string }
	p := gitlabJobs(f.t, &settings)
	maps.Copy(settings.Variables, f.values)
	base := p[p[job].Extends]
	return f.bash(strings.Join(append(slices.Clone(base.BeforeScript), p[job].Script...), "\n"), settings.Variables)
}

func gitlabJobs(t *testing.T, settings any) pipeline {
	t.Helper()
	const file = "gitlab/netp.gitlab-ci.yml"
	readYAML(t, file, settings)
	var nodes map[string]yaml.Node
	readYAML(t, file, &nodes)
	delete(nodes, "variables")
	p := pipeline{}
	text, err := yaml.Marshal(nodes)
	if err == nil {
		err = yaml.Unmarshal(text, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
