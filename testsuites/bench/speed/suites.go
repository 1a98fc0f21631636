//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	manyPaths = 10_000
	fewPaths  = 1_000
	planFiles = 4
	// patience is how long a plan may take.
	patience = 3 * time.Minute
)

var planColumns = []column{
	{name: "s", ratio: true, better: "lower"},
	{name: "CPU s", ratio: true, better: "lower"},
	{name: "peak MB", ratio: true, better: "lower"},
}

// write puts files into a new directory below the bench's.
func (b *bench) write(name string, files map[string]string) (dir string, err error) {
	dir = filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

const suiteHead = `suite "big" {}
variable "limit" {
  default = 0.1
}
profile "rtt" "r" {
  duration = "10s"
}
`

// explicitSuite is a suite of n paths, each a block of its own, and a test over all of them.
func explicitSuite(n int) map[string]string {
	files := map[string]*strings.Builder{"main.hcl": {}}
	main := files["main.hcl"]
	main.WriteString(suiteHead)
	for i := range 100 {
		fmt.Fprintf(main, "agent \"a%d\" {\n  tags = { site = \"s%d\" }\n}\n", i, i)
	}
	main.WriteString("test \"all\" {\n  profile = profile.rtt.r\n  path = [\n")
	for i := range n {
		fmt.Fprintf(main, "    path.p%d,\n", i)
		name := fmt.Sprintf("paths%d.hcl", i%planFiles)
		if files[name] == nil {
			files[name] = new(strings.Builder)
		}
		fmt.Fprintf(files[name], `path "p%d" {
  from = agent.a%d
  to   = agent.a%d
  tags = {
    number  = %d
    carrier = "telco-%d"
    label   = "path ${var.limit}"
  }
}
`, i, i%100, (i+1)%100, i, i%7)
	}
	main.WriteString("  ]\n  assert \"loss\" { condition = loss.ratio <= var.limit * percent }\n}\n")
	return texts(files)
}

// explicitTerraform is as many resources with as much in them.
func explicitTerraform(n int) map[string]string {
	files := map[string]*strings.Builder{"main.tf": {}}
	files["main.tf"].WriteString("variable \"limit\" {\n  default = 0.1\n}\n")
	for i := range n {
		name := fmt.Sprintf("paths%d.tf", i%planFiles)
		if files[name] == nil {
			files[name] = new(strings.Builder)
		}
		fmt.Fprintf(files[name], `resource "terraform_data" "p%d" {
  input = {
    from = "a%d"
    to   = "a%d"
    tags = {
      number  = %d
      carrier = "telco-%d"
      label   = "path ${var.limit}"
    }
  }
}
`, i, i%100, (i+1)%100, i, i%7)
	}
	return texts(files)
}

func texts(files map[string]*strings.Builder) map[string]string {
	out := map[string]string{}
	for name, b := range files {
		out[name] = b.String()
	}
	return out
}

// eachSuite makes its n paths with for_each.
func eachSuite(n int) map[string]string {
	return map[string]string{"main.hcl": suiteHead + fmt.Sprintf(`locals {
  sites = { for i in range(%d) : "s${i}" => { number = i, carrier = "telco-${i %% 7}" } }
}
agent "hub" {}
agent "far" {}
path "spoke" {
  for_each = local.sites
  from     = agent.hub
  to       = agent.far
  tags = {
    number  = each.value.number
    carrier = each.value.carrier
    label   = "path ${each.key}"
  }
}
test "all" {
  path    = path.spoke
  profile = profile.rtt.r
  assert "loss" { condition = loss.ratio <= var.limit * percent }
}
`, n)}
}

func eachTerraform(n int) map[string]string {
	return map[string]string{"main.tf": fmt.Sprintf(`locals {
  numbers = [for n in setproduct(range(%d), range(100)) : 100 * n[0] + n[1]] # its range makes 1024 at most
  sites   = { for i in local.numbers : "s${i}" => { number = i, carrier = "telco-${i %% 7}" } }
}
resource "terraform_data" "spoke" {
  for_each = local.sites
  input = {
    from = "hub"
    to   = "far"
    tags = {
      number  = each.value.number
      carrier = each.value.carrier
      label   = "path ${each.key}"
    }
  }
}
`, n/100)}
}

// planOf is netp's command over a suite.
func (b *bench) planOf(dir string, words ...string) tool {
	return tool{name: "netp " + words[0], setup: "release build, a fresh process", run: func(ctx context.Context) (figures, error) {
		netp, err := b.release(ctx)
		if err != nil {
			return nil, err
		}
		return timed(ctx, dir, append([]string{netp}, words...)...)
	}}
}

// terraformOf is terraform's command over as many resources.
func terraformOf(dir string, words ...string) tool {
	return tool{name: "terraform " + words[0], setup: "terraform_data, no state", run: func(ctx context.Context) (figures, error) {
		if _, err := os.Stat(filepath.Join(dir, ".terraform.lock.hcl")); err != nil {
			init := exec.CommandContext(ctx, "terraform", "init", "-input=false")
			init.Dir, init.Env = dir, append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
			if out, err := init.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("terraform init: %w: %.200s", err, out)
			}
		}
		return timed(ctx, dir, append([]string{"terraform"}, words...)...)
	}}
}

// timed runs a command in a directory, as the child of a small process: until a child runs its program, the kernel counts it with
// the memory of its parent.
func timed(ctx context.Context, dir string, words ...string) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience+10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, self, append([]string{"time"}, words...)...)
	c.Dir = dir
	said := new(strings.Builder)
	c.Stderr = said
	text, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, strings.TrimPrefix(said.String(), "speed: "))
	}
	var f figures
	return f, json.Unmarshal(text, &f)
}

// playTime runs a command and prints what it took.
func playTime(words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
	c.Stderr = os.Stderr
	began := time.Now()
	err := c.Run()
	took := time.Since(began)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("stopped after %v", patience)
	case err != nil:
		return err
	}
	usage := c.ProcessState.SysUsage().(*syscall.Rusage)
	return json.NewEncoder(os.Stdout).Encode(figures{"s": took.Seconds(), "CPU s": processor(c), "peak MB": float64(usage.Maxrss) / 1e3})
}

func explicitPlan(ctx context.Context, b *bench) error {
	suite, err := b.write("explicit", explicitSuite(manyPaths))
	if err != nil {
		return err
	}
	peer, err := b.write("explicit-terraform", explicitTerraform(manyPaths))
	if err != nil {
		return err
	}
	for _, c := range [][]tool{
		{b.planOf(suite, "validate"), terraformOf(peer, "validate")},
		{b.planOf(suite, "plan"), terraformOf(peer, "plan", "-refresh=false", "-input=false", "-no-color")},
	} {
		title := fmt.Sprintf("%d blocks in %d files; netp's plan includes schedule, cost and power of as many sessions.", manyPaths, planFiles)
		if _, err := (contest{title: title, columns: planColumns, tools: c, rounds: b.rounds}).run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func eachPlan(ctx context.Context, b *bench) error {
	var took [2]float64
	for i, n := range []int{fewPaths, manyPaths} {
		suite, err := b.write(fmt.Sprint("each", n), eachSuite(n))
		if err != nil {
			return err
		}
		peer, err := b.write(fmt.Sprint("each-terraform", n), eachTerraform(n))
		if err != nil {
			return err
		}
		o, err := contest{
			title: fmt.Sprintf("One block with for_each, %d times.", n), columns: planColumns, rounds: b.rounds,
			tools: []tool{b.planOf(suite, "plan"), terraformOf(peer, "plan", "-refresh=false", "-input=false", "-no-color")},
		}.run(ctx)
		if err != nil {
			return err
		}
		took[i] = median(o.values(0, "s"))
	}
	fmt.Printf("\nnetp: %d paths take %s × as long as %d.\n", manyPaths, number(took[1]/took[0]), fewPaths)
	return nil
}
