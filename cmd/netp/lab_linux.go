package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/labfile"
	"github.com/netpupper/netp/testsuites/lab"
)

// labPrefix begins the names of a lab's network namespaces.
func labPrefix(name string) string { return labNamespaces + name }

// beEmulator is the emulator's whole life, if this process was executed as one.
func beEmulator() (code int, was bool) { return lab.BeEmulator() }

// buildLab builds what a file declares.
func buildLab(l labfile.Lab) (*lab.Lab, *lab.Network, error) {
	w := lab.WAN{Carriers: l.Carriers, IP: l.IP}
	for _, s := range l.Sites {
		site := lab.Site{Name: s.Name, NAT: s.NAT}
		for _, line := range s.Lines {
			line.Up.Seed = chanceOf(line.Up.Seed, s.Name, line.Carrier, "up")
			line.Down.Seed = chanceOf(line.Down.Seed, s.Name, line.Carrier, "down")
			site.Lines = append(site.Lines, lab.SiteLine(line))
		}
		for _, b := range s.Block {
			for _, protocol := range b.Protocols {
				site.Block = append(site.Block, lab.Drop{Hook: lab.Input, Protocol: protocol, Port: b.Port})
			}
		}
		if s.Names != nil {
			site.Names = nameServer(*s.Names)
		}
		w.Sites = append(w.Sites, site)
	}
	made, err := lab.New(lab.Options{Prefix: labPrefix(l.Name)})
	if err != nil {
		return nil, nil, err
	}
	network, err := made.Build(w)
	if err != nil {
		return nil, nil, errors.Join(err, made.Close())
	}
	return made, network, nil
}

// chanceOf is the seed of one direction of a line, made of the one that the file gives. With one seed for all, a packet that is late by
// chance on one line would be late on the next, too, and a bit that the first turns the second would turn back.
func chanceOf(seed uint64, names ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %q", seed, names)
	return h.Sum64()
}

// nameServer is what a file says of a site's name server.
func nameServer(n labfile.Names) *lab.NameServer {
	codes := map[string]int{labfile.NoSuchName: lab.NoSuchName, labfile.ServerFailure: lab.ServerFailure, labfile.Refused: lab.Refused}
	return &lab.NameServer{
		Names: n.Names, Delay: n.Delay, Code: codes[n.Fail], Silent: n.Fail == labfile.Timeout, Truncated: n.Fail == labfile.Truncated,
	}
}

// labExec runs a command with a lab up.
func (a *app) labExec(ctx context.Context, l labfile.Lab, words []string) (err error) {
	if lab.IsInside() {
		if err := lab.OwnRun(); err != nil {
			return err
		}
	} else if !lab.Privileged() {
		a.code, err = lab.Inside()
		return err
	}
	release, err := holdLab(l.Name)
	if err != nil {
		return err
	}
	defer release()
	made, _, err := buildLab(l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, made.Close()) }()
	process := -1
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Stdin, c.Stdout, c.Stderr = a.env.stdin, a.written.to, a.env.stderr
	c.Env = append(a.env.environ, "NETP_LAB="+l.Name)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	c.SysProcAttr = &syscall.SysProcAttr{PidFD: &process}
	if err := c.Start(); err != nil {
		return fmt.Errorf("run %s: %w", words[0], err)
	}
	if process >= 0 {
		defer syscall.Close(process)
		if err := made.Emulator.Guard(process); err != nil {
			return err
		}
	}
	var exit *exec.ExitError
	switch err := c.Wait(); {
	case ctx.Err() != nil:
		a.code = exitInterrupted
	case errors.As(err, &exit) && exit.Exited():
		a.code = exit.ExitCode()
	case err != nil:
		if errors.As(err, &exit) { // as a shell does, which hides no signal
			a.code = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
		return fmt.Errorf("%s: %w", words[0], err)
	}
	return nil
}

// labUp starts a keeper, which outlives this command, and waits until its lab stands.
func (a *app) labUp(ctx context.Context, file string, l labfile.Lab) error {
	if !lab.Privileged() {
		return fmt.Errorf("%w\nRun netp lab up as root, or the suite inside the lab: netp lab exec %s -- netp apply", lab.ErrPrivilege, file)
	}
	if err := checkNotUp(l.Name); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	keeper := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"netp", "lab", "keep", path}, Dir: "/", ExtraFiles: []*os.File{w},
		Env: a.env.environ, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = keeper.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the keeper of the lab: %w", err)
	}
	stopWaiting := context.AfterFunc(ctx, func() { keeper.Process.Signal(syscall.SIGTERM) })
	defer stopWaiting()
	said, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var s labReport
	if err := json.Unmarshal(said, &s); err != nil {
		return errors.Join(errors.New("the keeper of the lab ended before it stood"), keeper.Wait())
	}
	if s.Error != "" {
		keeper.Wait()
		return errors.New(s.Error)
	}
	blocks, faults := lang.Format([]byte(agentBlocks(s)), "agents.hcl")
	if faults.HasErrors() {
		panic(fmt.Sprintf("netp lab: the agents are no suite: %v", faults))
	}
	a.out().Printf("# Lab %s is up: %d sites, %d carriers. Its sites as agents of a suite:\n\n%s\n# Take it down with: netp lab down %s\n",
		l.Name, len(l.Sites), len(l.Carriers), blocks, l.Name)
	return keeper.Process.Release()
}

// labReport is what a keeper says when its lab stands, or why it does not.
type labReport struct {
	Error string      `json:"error,omitempty"`
	Sites []labSiteAt `json:"sites"`
}

// labSiteAt is a site that stands.
type labSiteAt struct {
	Name  string      `json:"name"`
	Netns string      `json:"netns"`
	NAT   bool        `json:"nat,omitempty"`
	Lines []labLineAt `json:"lines"`
}

// labLineAt is a line that stands.
type labLineAt struct {
	Carrier   string       `json:"carrier"`
	Device    string       `json:"device"`
	Addresses []netip.Addr `json:"addresses"`
}

// keeperPipe is the descriptor on which a keeper reports.
const keeperPipe = 3

// labKeep has a lab until it is told to end.
func (a *app) labKeep(ctx context.Context, l labfile.Lab) error {
	report := os.NewFile(keeperPipe, "report")
	say := func(s labReport) error { return errors.Join(json.NewEncoder(report).Encode(s), report.Close()) }
	release, err := holdLab(l.Name)
	if err != nil {
		return errors.Join(err, say(labReport{Error: err.Error()}))
	}
	defer release()
	made, network, err := buildLab(l)
	if err != nil {
		return errors.Join(err, say(labReport{Error: err.Error()}))
	}
	var s labReport
	for _, site := range l.Sites {
		at := labSiteAt{Name: site.Name, Netns: network.Sites[site.Name].Path(), NAT: site.NAT}
		for _, line := range site.Lines {
			stands := labLineAt{Carrier: line.Carrier, Device: network.Lines[site.Name][line.Carrier].Ends[0].Device}
			for _, a := range []netip.Addr{network.Host[site.Name][line.Carrier], network.Host6[site.Name][line.Carrier]} {
				if a.IsValid() {
					stands.Addresses = append(stands.Addresses, a)
				}
			}
			at.Lines = append(at.Lines, stands)
		}
		s.Sites = append(s.Sites, at)
	}
	if err := say(s); err != nil {
		return errors.Join(err, made.Close())
	}
	<-ctx.Done()
	return made.Close()
}

// agentBlocks are the sites in the language of suites. By its device an interface has the addresses of both versions of IP.
func agentBlocks(s labReport) string {
	var out strings.Builder
	for _, site := range s.Sites {
		fmt.Fprintf(&out, "agent %q {\n  netns = %q\n", site.Name, site.Netns)
		if site.NAT {
			fmt.Fprintf(&out, "  nat   = true\n")
		}
		for _, l := range site.Lines {
			fmt.Fprintf(&out, "  interface %q { device = %q } # %s\n", l.Carrier, l.Device, strings.Trim(fmt.Sprint(l.Addresses), "[]"))
		}
		fmt.Fprintf(&out, "}\n")
	}
	return out.String()
}
