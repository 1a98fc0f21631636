package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netpupper/netp/agent/wire"
)

// garbage is a body of so many bytes that is no JSON any more after the first.
type garbage struct{ left int }

func (g *garbage) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), g.left)
	for i := range p[:n] {
		p[i] = '['
	}
	g.left -= n
	return n, nil
}

// peakMemory is the most memory that a process has held [kB].
func peakMemory(t *testing.T, pid int) (kilobytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kilobytes); !ok || err != nil {
		t.Fatalf("no VmHWM: %v", err)
	}
	return kilobytes
}

// daemonsBodies is threats T21: a hundred large bodies at a time, with and without a
// token, are refused without much memory, and the controller goes on answering.
func daemonsBodies(t *testing.T, d *deployment) {
	admin, err := os.ReadFile(filepath.Join(d.path("controller"), "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	word := strings.TrimSpace(string(admin))
	token, err := wire.ParseAccessToken(word)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: wire.PinnedTLS(token.Pin)}}
	defer client.CloseIdleConnections()
	post := func(path, bearer string, size int) (status int) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+d.http+path, &garbage{size})
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		response, err := client.Do(r)
		if err != nil {
			return 0 // it hung up on the body, which is an answer, too
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	for name, c := range map[string]struct {
		path, bearer string
		size         int
		refused      []int
	}{
		"enrol":           {wire.EnrolPath, "", 1 << 20, []int{0, http.StatusRequestEntityTooLarge, http.StatusBadRequest}},
		"no token":        {"/api/v1/runs", "nobody", 8 << 20, []int{0, http.StatusUnauthorized}},
		"no JSON":         {"/api/v1/runs", word, 8 << 20, []int{0, http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusTooManyRequests}},
		"token requested": {"/api/v1/access", word, 1 << 20, []int{0, http.StatusRequestEntityTooLarge, http.StatusBadRequest}},
	} {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				status := post(c.path, c.bearer, c.size)
				if slices.Contains(c.refused, status) {
					return
				}
				t.Errorf("%s: %d", name, status)
			})
		}
		all.Wait()
		d.must("agents") // it still answers
	}
	if runtime.GOOS == "linux" {
		if peak := peakMemory(t, d.controller.cmd.Process.Pid); peak > 512<<10 {
			t.Errorf("the controller held up to %d MB", peak>>10)
		} else {
			t.Logf("the controller held up to %d MB", peak>>10)
		}
	}
}
