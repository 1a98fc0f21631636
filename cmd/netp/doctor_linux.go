package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent"
)

// systemFindings reads what the kernel allows.
func systemFindings() []finding {
	return []finding{bufferFinding(), congestionFinding(), pingFinding(), priorityFinding(), namespaceFinding()}
}

func bufferFinding() finding {
	var limit int
	_, err := fmt.Sscan(setting("net/core/rmem_max"), &limit)
	return finding{"receive buffer", err == nil && limit >= agent.LeastReceiveBuffer, fmt.Sprintf("net.core.rmem_max = %d", limit),
		"sysctl -w net.core.rmem_max=33554432, so that bursts are not lost on the receiving host itself."}
}

func congestionFinding() finding {
	available := setting("net/ipv4/tcp_available_congestion_control")
	return finding{"congestion control", available != "",
		fmt.Sprintf("%s by default; available: %s", setting("net/ipv4/tcp_congestion_control"), available),
		"modprobe tcp_cubic or tcp_bbr to choose another one in a tcp profile."}
}

func pingFinding() finding {
	var low, high int
	_, err := fmt.Sscan(setting("net/ipv4/ping_group_range"), &low, &high)
	group := os.Getgid()
	return finding{"icmp", os.Geteuid() == 0 || err == nil && low <= group && group <= high,
		"net.ipv4.ping_group_range = " + setting("net/ipv4/ping_group_range"),
		`sysctl -w net.ipv4.ping_group_range="0 2147483647" lets agents send ICMP echo without privilege.`}
}

func priorityFinding() finding {
	const enough = 30 // 20 − nice
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NICE, &limit)
	f := finding{"priority", os.Geteuid() == 0 || err == nil && limit.Cur >= enough, "threads that pace and stamp packets may take nice -10",
		"LimitNICE=-10 in the agent's unit, or ulimit -e 30, so that busy programs beside it delay packets less often."}
	if !f.OK {
		f.Detail = "threads that pace and stamp packets may not take nice -10"
	}
	return f
}

func namespaceFinding() finding {
	return finding{"network namespaces", os.Geteuid() == 0, fmt.Sprintf("running as user %d", os.Geteuid()),
		"Only root may work in network namespaces (netns = ...); nothing else needs it."}
}

func setting(name string) string {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
