package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
	"github.com/netpupper/netp/runner/store/storetest"
	"github.com/netpupper/netp/testsuites/pgtest"
)

// server is a PostgreSQL server with as many databases as are asked for.
type server struct {
	*pgtest.Server
	databases int
}

func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *server) fresh(t *testing.T) storetest.Database {
	s.databases++
	name := fmt.Sprintf("netp%d", s.databases)
	execute(t, s.URL("postgres", "postgres"), "CREATE DATABASE "+name)
	url := s.URL("postgres", name)
	return storetest.Database{Where: url, Exec: func(t *testing.T, statement string) { execute(t, url, statement) }}
}

const secret = "pass:w/rd@?"

func TestPostgres(t *testing.T) {
	s := &server{Server: pgtest.Start(t)}
	execute(t, s.URL("postgres", "postgres"),
		"CREATE ROLE netp LOGIN PASSWORD '"+secret+"'", "CREATE ROLE owner LOGIN PASSWORD '"+secret+"'")
	storetest.Run(t, s.fresh)
	t.Run("remedies", func(t *testing.T) { remedies(t, s) })
	t.Run("a full disk", func(t *testing.T) { fullDisk(t, s) })
	t.Run("an owner over the network", func(t *testing.T) { owner(t, s) })
	t.Run("the order is that of bytes", func(t *testing.T) { byteOrder(t, s) })
	t.Run("a restart is waited for", func(t *testing.T) { restart(t, s) })
	t.Run("cut connections lose nothing", func(t *testing.T) { cut(t, s) })
	t.Run("the answer to a commit is lost", func(t *testing.T) { lostAnswer(t, s) })
	t.Run("a silent server is noticed", func(t *testing.T) { silence(t, s) })
}

func remedies(t *testing.T, s *server) {
	d := s.fresh(t)
	other := d.Where[strings.LastIndex(d.Where, "/")+1:]
	other, _, _ = strings.Cut(other, "?")
	execute(t, s.URL("postgres", "postgres"), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // what connects is never answered
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct{ name, where, want string }{
		{"silence", "postgres://netp:pass@" + silent.Addr().String() + "/netp?sslmode=disable&connect_timeout=1", "no PostgreSQL server answers there"},
		{"no server", "postgres://netp:" + "pass@127.0.0.1:1/netp?sslmode=disable", "no PostgreSQL server answers there"},
		{"no such host", "postgres://netp:pass@nowhere.invalid/netp", "host name is not known"},
		{"wrong password", s.NetURL("netp", "pass", other), "refuses the account"},
		{"unknown account", s.NetURL("nobody", "pass", other), "refuses the account"},
		{"no database", s.NetURL("netp", secret, "missing"), "has no such database"},
		{"no right to make tables", s.NetURL("netp", secret, other), "grant it USAGE and CREATE"},
		{"read only", d.Where + "&default_transaction_read_only=on", "takes no writes"},
		{"no TLS", strings.Replace(s.NetURL("netp", "pass", other), "disable", "require", 1), "does not speak TLS"},
		{"other encoding", s.URL("postgres", "latin"), "encoding is LATIN1"},
		{"no URL", "postgres://netp:pass@host:port/netp", "cannot be read"},
		{"no URL at all", "postgres://netp:pass%@host/netp", "cannot be read"},
		{"nonsense setting", s.NetURL("netp", secret, other) + "&sslmode=nonsense&password=pass", "cannot be read"},
	} {
		opened, err := store.Open(t.Context(), c.where, nil)
		if err == nil {
			opened.Close()
			t.Errorf("%s: opened", c.name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, secret) || strings.Contains(strings.ReplaceAll(text, "password", ""), "pass") {
			t.Errorf("%s: %v\nwant %q and no password", c.name, err, c.want)
		}
	}
}

func fullDisk(t *testing.T, s *server) {
	d := s.fresh(t)
	opened := d.Open(t)
	d.Exec(t, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$`)
	d.Exec(t, `CREATE TRIGGER full_disk BEFORE INSERT ON parts EXECUTE FUNCTION full_disk()`)
	var away *store.Away
	if err := opened.SaveParts(t.Context(), []netp.Result{{Run: "r"}}); !errors.As(err, &away) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("%v, want what to do about a full disk", err)
	}
}

func owner(t *testing.T, s *server) {
	execute(t, s.URL("postgres", "postgres"), "CREATE DATABASE owned OWNER owner")
	opened := storetest.Database{Where: s.NetURL("owner", secret, "owned")}.Open(t)
	if err := opened.SaveNote(t.Context(), "a", 1); err != nil {
		t.Error(err)
	}
}

// byteOrder holds lists to the order that SQLite gives, whatever the server's locale.
func byteOrder(t *testing.T, s *server) {
	execute(t, s.URL("postgres", "postgres"), `CREATE DATABASE words TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'`)
	opened := storetest.Database{Where: s.URL("postgres", "words")}.Open(t)
	var records []netp.Record
	for _, session := range []string{"a", "B", "é", "_"} {
		records = append(records, netp.Record{Run: "r", Session: netp.Session{Addr: session}})
	}
	if err := opened.SaveRecords(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	got, err := opened.Records(t.Context(), "r")
	order := ""
	for _, r := range got {
		order += r.Session.Addr
	}
	if err != nil || order != "B_aé" {
		t.Errorf("%q, %v; want the order of bytes", order, err)
	}
}

// restart stops the server under a store that is in use: a write waits for it to
// come back, and a write that began before counts once.
func restart(t *testing.T, s *server) {
	opened := s.fresh(t).Open(t)
	if err := opened.SaveNote(t.Context(), "before", 1); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	result := make(chan error, 2)
	go func() {
		result <- opened.SaveRecords(t.Context(), []netp.Record{{Run: "r", Session: netp.Session{Addr: "a"}}})
	}()
	go func() { _, err := opened.Note(t.Context(), "before", new(int)); result <- err }()
	s.Start()
	for range 2 {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := opened.SaveNote(ctx, "a", 1); err == nil {
		t.Error("a note was saved without a server")
	}
	opened.Hurry(0)
	var away *store.Away
	if err := opened.SaveNote(t.Context(), "a", 1); !errors.As(err, &away) {
		t.Errorf("%v, want that the database is away", err)
	}
	s.Start()
}

// cut terminates the connections again and again while records are written.
func cut(t *testing.T, s *server) {
	const records = 200
	opened := s.fresh(t).Open(t)
	var written atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range records {
			if err := opened.SaveRecords(t.Context(), []netp.Record{{Run: "r", Session: netp.Session{Addr: fmt.Sprint(i)}}}); err != nil {
				t.Error(err)
				return
			}
			written.Add(1)
		}
	}()
	for finished := false; !finished; {
		execute(t, s.URL("postgres", "postgres"), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'netp'`)
		before := written.Load()
		for !finished && written.Load() == before { // one gets through between two cuts
			select {
			case <-done:
				finished = true
			case <-time.After(time.Millisecond):
			}
		}
	}
	told, err := opened.RecordsAfter(t.Context(), 0, 2*records)
	if err != nil || len(told) != records || told[records-1].Position != records {
		t.Errorf("%d records in the feed, %v; want %d without a gap", len(told), err, records)
	}
}

// loser passes on what goes between a server and those who dial it, but swallows the
// answer to a commit, and cuts that connection, when it is told to; or says nothing more
// on the connections on which something would have come while it was mute.
type loser struct {
	net.Listener
	server string
	next   atomic.Bool // the next answer is lost
	mute   atomic.Bool
	muted  atomic.Int64 // connections
}

func newLoser(t *testing.T, server string) *loser {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lose := &loser{Listener: l, server: server}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go lose.pass(c)
		}
	}()
	return lose
}

func (l *loser) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil || bytes.Contains(buffer[:n], []byte("COMMIT\x00")) && l.next.Swap(false) {
			return
		}
		if l.mute.Load() {
			l.muted.Add(1)
			_, _ = io.Copy(io.Discard, server) // until the client goes
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// openThrough opens a fresh database by way of a loser.
func openThrough(t *testing.T, s *server) (*loser, *store.Store) {
	d := s.fresh(t)
	name := d.Where[strings.LastIndex(d.Where, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	execute(t, s.URL("postgres", "postgres"), "ALTER DATABASE "+name+" OWNER TO owner")
	lose := newLoser(t, fmt.Sprintf("127.0.0.1:%d", s.Port))
	through := strings.Replace(s.NetURL("owner", secret, name), fmt.Sprintf("127.0.0.1:%d", s.Port), lose.Addr().String(), 1) + "&connect_timeout=1"
	return lose, storetest.Database{Where: through}.Open(t)
}

// silence has a server fall silent under a read, as one that was stopped, and then speak on
// new connections: the read is given up as soon as another connection shows it, and made again.
func silence(t *testing.T, s *server) {
	lose, opened := openThrough(t, s)
	if err := opened.SaveNote(t.Context(), "a", 7); err != nil {
		t.Fatal(err)
	}
	lose.mute.Store(true)
	result, kept := make(chan error), 0
	go func() { _, err := opened.Note(t.Context(), "a", &kept); result <- err }()
	deadline := time.After(30 * time.Second)
	for lose.muted.Load() < 2 { // the read's, and that which asks for the server
		select {
		case <-deadline:
			t.Fatal("nobody has asked whether the server is there")
		case <-time.After(10 * time.Millisecond):
		}
	}
	lose.mute.Store(false)
	select {
	case err := <-result:
		if err != nil || kept != 7 {
			t.Errorf("%d, %v; want what was kept", kept, err)
		}
	case <-deadline:
		t.Fatal("the read is still waiting for a server that says nothing")
	}
}

// lostAnswer makes each kind of write whose commit is not answered: it is made again,
// with the same effect as once.
func lostAnswer(t *testing.T, s *server) {
	lose, opened := openThrough(t, s)
	run := store.Run{Report: netp.Report{Run: "r", Suite: "s", Started: time.Unix(1, 0)}, Slot: &store.Slot{Suite: "s", Test: "t", Start: time.Unix(1, 0)}}
	ended := run
	ended.Report.Ended = time.Unix(2, 0)
	record := netp.Record{Run: "r", Session: netp.Session{Addr: "a"}}
	first := store.Application{Suite: "s", PlanHash: "h", After: plan.State{Lineage: "l", Serial: 1}}
	second := store.Application{Suite: "s", PlanHash: "h2", Before: first.After, After: plan.State{Lineage: "l", Serial: 2}}
	for _, w := range []struct {
		name  string
		write func(context.Context) error
	}{
		{"apply", func(ctx context.Context) error { return opened.Apply(ctx, first) }},
		{"apply the next", func(ctx context.Context) error { return opened.Apply(ctx, second) }},
		{"begin", func(ctx context.Context) error { return opened.BeginRun(ctx, run, new(plan.Plan)) }},
		{"attempts", func(ctx context.Context) error {
			return opened.SaveAttempts(ctx, []store.Attempt{{Run: "r", Session: "a", Attempt: 1}})
		}},
		{"parts", func(ctx context.Context) error {
			return opened.SaveParts(ctx, []netp.Result{{Run: "r", Session: "a", Attempt: 1}})
		}},
		{"records", func(ctx context.Context) error { return opened.SaveRecords(ctx, []netp.Record{record}) }},
		{"end", func(ctx context.Context) error { return opened.SaveRun(ctx, ended) }},
		{"note", func(ctx context.Context) error { return opened.SaveNote(ctx, "n", 1) }},
		{"position", func(ctx context.Context) error { return opened.SetSinkPosition(ctx, "sink", 1) }},
		{"forget", func(ctx context.Context) error { return opened.ForgetSink(ctx, "sink") }},
	} {
		lose.next.Store(true)
		if err := w.write(t.Context()); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		if lose.next.Swap(false) {
			t.Errorf("%s: no answer was lost", w.name)
		}
	}
	if err := opened.Apply(t.Context(), second); !errors.Is(err, store.ErrApplied) {
		t.Errorf("the same plan again: %v", err)
	}
	told, err := opened.RecordsAfter(t.Context(), 0, 10)
	if err != nil || len(told) != 1 {
		t.Errorf("the feed has %d records, %v", len(told), err)
	}
}
