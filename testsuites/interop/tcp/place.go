package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// place is where a comparison runs: the two ends, and the address of the server.
type place struct {
	server         string
	clientNS, serv string // network namespaces; "" for the host
	line           int
}

func (p place) String() string {
	if p.line == 0 {
		return "loopback"
	}
	return fmt.Sprintf("veth with a token bucket of %d Mbit/s (ideal goodput %.3f Mbit/s)", p.line, float64(p.line)*1448/1514)
}

// newPlace gives loopback, or makes two namespaces with a line between them that carries line Mbit/s of Ethernet frames each way.
func newPlace(line int) (place, error) {
	if line == 0 {
		return place{server: "127.0.0.1"}, nil
	}
	p := place{
		server: "10.83.8.2", line: line,
		clientNS: fmt.Sprintf("netp-interop-a-%d", os.Getpid()), serv: fmt.Sprintf("netp-interop-b-%d", os.Getpid()),
	}
	steps := []string{"ip netns add " + p.clientNS, "ip netns add " + p.serv,
		fmt.Sprintf("ip -n %s link add eth0 type veth peer name eth0 netns %s", p.clientNS, p.serv)}
	for i, ns := range []string{p.clientNS, p.serv} {
		steps = append(steps,
			fmt.Sprintf("ip -n %s addr add 10.83.8.%d/24 dev eth0", ns, i+1),
			fmt.Sprintf("ip -n %s link set eth0 up", ns),
			fmt.Sprintf("tc -n %s qdisc add dev eth0 root tbf rate %dmbit burst %d latency 50ms", ns, line, max(6000, line*1000/8*4)))
	}
	for _, step := range steps {
		words := strings.Fields(step)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			p.close()
			return place{}, fmt.Errorf("a line needs root, ip and tc: %s: %w: %s", step, err, out)
		}
	}
	return p, nil
}

func (p place) close() {
	if p.line != 0 {
		exec.Command("ip", "netns", "del", p.clientNS).Run()
		exec.Command("ip", "netns", "del", p.serv).Run()
	}
}

// command makes a command that runs in a namespace.
func (place) command(ns string, words ...string) *exec.Cmd {
	if ns != "" {
		words = append([]string{"ip", "netns", "exec", ns}, words...)
	}
	return exec.Command(words[0], words[1:]...)
}

// seconds is the CPU time of a process that has ended.
func seconds(c *exec.Cmd) float64 {
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
}

// freePort is a TCP port of loopback that nobody has.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await ends a process that does not end by itself.
func await(c *exec.Cmd, limit time.Duration) error {
	overdue := time.AfterFunc(limit, func() { c.Process.Kill() })
	err := c.Wait()
	if !overdue.Stop() {
		return errors.Join(fmt.Errorf("%s did not end in %v", c.Path, limit), err)
	}
	return err
}
