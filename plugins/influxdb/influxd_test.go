package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpupper/netp/plugins/sdk/sinktest"
	"github.com/netpupper/netp/testsuites/freeport"
)

// influxd starts a real InfluxDB 1.x on loopback and gives its address.
func influxd(t *testing.T) string {
	program, err := exec.LookPath("influxd")
	if err != nil {
		t.Skip("needs influxd: apt-get install influxdb")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "conf")
	address, backup := freeport.Address(t), freeport.Address(t)
	text := fmt.Sprintf(`reporting-disabled = true
bind-address = %q
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
  query-log-enabled = false
[http]
  bind-address = %q
  log-enabled = false
[monitor]
  store-enabled = false
`, backup, dir+"/meta", dir+"/data", dir+"/wal", address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "run", "-config", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	base := "http://" + address
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if r, err := http.Get(base + "/ping"); err == nil {
			_ = r.Body.Close()
			return base
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("influxd does not answer")
		}
	}
}

// query asks InfluxQL and gives the rows of the first series.
func query(t *testing.T, base, database, q string) (columns []string, rows [][]any) {
	t.Helper()
	r, err := http.PostForm(base+"/query", url.Values{"db": {database}, "q": {q}, "epoch": {"ns"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Results) == 0 || answer.Results[0].Error != "" {
		t.Fatalf("%s: %s (%v)", q, text, err)
	}
	if len(answer.Results[0].Series) == 0 {
		return nil, nil
	}
	return answer.Results[0].Series[0].Columns, answer.Results[0].Series[0].Values
}

func TestRealServer(t *testing.T) {
	base := influxd(t)
	databases := 0
	receiver := func(t *testing.T) sinktest.Receiver {
		databases++
		database := fmt.Sprintf("netp%d", databases)
		query(t, base, "", "CREATE DATABASE "+database)
		return sinktest.Receiver{
			Arguments: map[string]any{"url": base, "database": database, "timeout": "2m", "tags": map[string]string{"dc": `syd, "1"=\`}},
			IDs: func(t *testing.T) (out []string) {
				_, rows := query(t, base, database, `SELECT "record" FROM netp_session`)
				for _, row := range rows {
					out = append(out, row[1].(string))
				}
				return out
			},
		}
	}
	c := sinktest.Case{New: newSink, Wrong: wrong(), Receiver: receiver}
	sinktest.Run(t, c)

	r := receiver(t)
	records := sinktest.Records(3)
	if err := sinktest.Open(t, c, r).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	database := r.Arguments["database"].(string)
	_, rows := query(t, base, database, `SELECT "delay.p99", "loss.ratio", "record", "class", "note", "carrier" FROM netp_session WHERE "status" = 'fail' AND "path" = 'syd->mel'`)
	want := records[1]
	if len(rows) != 1 || rows[0][1] != want.Result.Metrics["delay"].Distribution.Member("p99") || rows[0][2] != want.Result.Metrics["loss.ratio"].Ratio.Value() ||
		rows[0][3] != want.ID || rows[0][4] != "realtime" || rows[0][5] != "zwei Zeilen ✓" || rows[0][6] != `Telco, A=1 "x"/` || rows[0][0] != float64(want.Result.Ended.UnixNano()) {
		t.Errorf("read back %v", rows)
	}
	if _, rows := query(t, base, database, `SELECT count("delay.mean") FROM netp_interval`); len(rows) != 1 || rows[0][1] != 18.0 {
		t.Errorf("intervals: %v, want 18", rows)
	}
	if _, rows := query(t, base, database, `SELECT "reason" FROM netp_assertion WHERE "assertion" = 'loss'`); len(rows) != 3 || rows[0][1] != records[0].Judgements[0].Reason {
		t.Errorf("assertions: %v", rows)
	}
	missing := sinktest.Receiver{Arguments: map[string]any{"url": base, "database": "nothing"}}
	if err := sinktest.Open(t, c, missing).Write(t.Context(), records); err == nil {
		t.Error("a database that is not there took records")
	} else {
		t.Logf("missing database: %v", err)
	}
}
