// Package store is the store of record: applied suites, runs, parts, records.
// SQLite in a file is the default, PostgreSQL for what outgrows one machine.
// Everything that differs between databases is a dialect, and storetest is what
// every one of them must pass.
//
// Whatever a method has returned from without an error is on the disk. Every write
// may be made again, with the same effect as once: the answer to it may be lost.
// Transactions that write follow one another, whoever makes them. Bodies are
// compressed JSON with a checksum that is verified whenever they are read; a body
// that fails it is a *Damaged error, never an answer.
//
// Start with Open, then Store.SaveParts and Store.SaveRecords.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/netpupper/netp/quantity"
)

// Store is an open store. Its methods may be called concurrently, also by several
// processes on one database.
type Store struct {
	db      *sql.DB
	dialect dialect
	// where names the database in errors: the file, or the server without a password.
	where string
	// patience is how long a thing is tried again that a restart of the server or
	// another process's lock keeps from being done; 0 for not at all.
	patience time.Duration
	notice   func(string) // never nil
	// turn holds what writes now: in order of arrival, which the lock of SQLite does not know.
	turn chan struct{}
	// late is done when nothing is waited for any more, see Hurry; gone is what the first
	// failed with that found the database away then.
	late context.Context
	end  context.CancelFunc
	gone atomic.Pointer[error]
}

func newStore(db *sql.DB, d dialect, where string, notice func(string)) *Store {
	if notice == nil {
		notice = func(string) {}
	}
	late, end := context.WithCancel(context.Background())
	return &Store{db: db, dialect: d, where: where, notice: notice, turn: make(chan struct{}, 1), late: late, end: end}
}

// Open opens a database and brings its schema up to date: the PostgreSQL one that a
// URL names, postgres://user:password@host:5432/database, or else the SQLite one in
// a file, which is made when missing, with its directory. What the URL leaves out
// comes from PGPASSWORD, ~/.pgpass and the like, as for psql.
//
// While the store is open, notice gets a line for people whenever something waits long
// for the database; it may be nil, must not block, and may be called concurrently.
//
// Errors name the database, never its password, and say what to do: the directory
// cannot be written, no server answers, the account is refused, the disk is full,
// the database is damaged, or locked, or was written by a newer netp.
func Open(ctx context.Context, where string, notice func(string)) (*Store, error) {
	if IsPostgres(where) {
		return openPostgres(ctx, where, notice)
	}
	return openSQLite(ctx, where, notice)
}

// Errors that callers branch on.
var (
	// ErrNotFound is returned when nothing has the name or id asked for.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned when the state was applied by somebody else meanwhile.
	ErrConflict = errors.New("the applied state has changed meanwhile; plan again")
	// ErrApplied is returned when the plan was applied before.
	ErrApplied = errors.New("this plan was applied already; plan again")
	// ErrRecorded is returned when a session has its terminal record already.
	ErrRecorded = errors.New("the session has its record already")
	// ErrNewer is returned for a database written by a newer netp.
	ErrNewer = errors.New("the database was written by a newer version of netp")
)

// Damaged is the error for stored bytes that are not what was written.
type Damaged struct {
	Where string // the database
	What  string // "record of run R, session S"
}

// Error says what is damaged and what remains to do.
func (d *Damaged) Error() string {
	return fmt.Sprintf("%s in %s is damaged: its checksum does not fit; restore the database from a backup, or begin with an empty one", d.What, d.Where)
}

// Away is the error for a database that does not answer, is locked, or has no room: the
// same thing may succeed later.
type Away struct {
	Why string // in words
	Err error
}

// Error is Err's.
func (a *Away) Error() string { return a.Err.Error() }

// Unwrap gives Err.
func (a *Away) Unwrap() error { return a.Err }

// Ambiguous is the error for a shortened run id that several runs share.
type Ambiguous struct {
	ID   string
	Runs []string
}

// maxCandidates is how many an error lists.
const maxCandidates = 5

// Error lists the candidates, the first of many.
func (a *Ambiguous) Error() string {
	shown, more := a.Runs, ""
	if n := len(a.Runs) - maxCandidates; n > 0 {
		shown, more = a.Runs[:maxCandidates], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("run %s is ambiguous: %s%s", a.ID, strings.Join(shown, ", "), more)
}

// Close closes the store.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return s.explain(context.Background(), "close", err)
	}
	return nil
}

// Hurry is for an owner that is about to end: once grace has passed nothing waits any
// more for a database that is away, and when one try has found it so, no other is made.
func (s *Store) Hurry(grace time.Duration) { time.AfterFunc(grace, s.end) }

// explain names the database and, where known, the remedy.
func (s *Store) explain(ctx context.Context, operation string, err error) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	if ctx.Err() != nil { // drivers have many words for having been interrupted
		return fmt.Errorf("%s %s: %w: %w", operation, s.where, ctx.Err(), err)
	}
	told := fmt.Errorf("%s %s: %w", operation, s.where, err)
	if remedy := s.dialect.remedy(err); remedy != "" {
		told = fmt.Errorf("%s %s: %s: %w", operation, s.where, remedy, err)
	}
	switch {
	case s.dialect.full(err):
		return &Away{Why: "its disk is full", Err: told}
	case s.dialect.lost(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // of one try
		return &Away{Why: s.dialect.away, Err: told}
	}
	return told
}

// write runs statements in one transaction: all of them, or none. They may be run
// again when the connection is lost, also when they had succeeded.
func (s *Store) write(ctx context.Context, operation string, statements func(*transaction) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.explain(ctx, operation, s.again(ctx, func(ctx context.Context) (bool, error) {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return true, err
		}
		t := &transaction{tx: tx, dialect: s.dialect}
		if err = t.follow(ctx); err == nil {
			err = statements(t)
		}
		if err != nil {
			_ = tx.Rollback() // it ends with its connection otherwise
			return true, err
		}
		return true, tx.Commit()
	}))
}

// query runs a SELECT and calls row for each line of the answer.
func (s *Store) query(ctx context.Context, operation, text string, args []any, row func(scan func(...any) error) error) error {
	return s.explain(ctx, operation, s.again(ctx, s.attended(func(ctx context.Context) (repeatable bool, err error) {
		rows, err := s.db.QueryContext(ctx, s.dialect.bind(text), args...)
		if err != nil {
			return true, err
		}
		defer rows.Close()
		repeatable = true
		for rows.Next() {
			repeatable = false // row has kept something
			if err := row(rows.Scan); err != nil {
				return false, err
			}
		}
		return repeatable, rows.Err()
	})))
}

// again calls try, and calls it again while the database is away and patience lasts.
func (s *Store) again(ctx context.Context, try func(context.Context) (repeatable bool, err error)) error {
	start, told := time.Now(), false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		repeatable, lost, err := s.attempt(ctx, try)
		if !lost || !repeatable || ctx.Err() != nil || s.late.Err() != nil || time.Since(start)+pause > s.patience {
			return err
		}
		if !told && time.Since(start) >= silence {
			told = true
			s.notice(fmt.Sprintf("Waiting for the database %s, for about %s: %s.", s.where, quantity.Duration(s.patience), s.dialect.away))
		}
		select {
		case <-time.After(pause):
		case <-s.late.Done():
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// attempt calls try once, and reports whether the database was away.
func (s *Store) attempt(ctx context.Context, try func(context.Context) (bool, error)) (repeatable, lost bool, err error) {
	if gone := s.gone.Load(); gone != nil {
		return false, true, *gone
	}
	if s.dialect.attempt > 0 {
		var done func()
		ctx, done = context.WithTimeout(ctx, s.dialect.attempt)
		defer done()
		defer context.AfterFunc(s.late, func() { time.AfterFunc(lateAttempt, done) })()
	}
	repeatable, err = try(ctx)
	lost = err != nil && (s.dialect.lost(err) || ctx.Err() != nil)
	if lost && s.late.Err() != nil {
		s.gone.Store(&err)
	}
	return repeatable, lost, err
}

// silence is how long people are not told that something waits.
const silence = 2 * time.Second

// lateAttempt bounds a try when nothing is waited for any more.
const lateAttempt = 2 * time.Second

// Between tries.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// transaction is what statements run in.
type transaction struct {
	tx      *sql.Tx
	dialect dialect
}

// follow waits for the transactions that write before this one.
func (t *transaction) follow(ctx context.Context) error {
	if t.dialect.begin == "" {
		return nil
	}
	_, err := t.exec(ctx, t.dialect.begin)
	return err
}

// exec runs a statement and says how many rows it changed.
func (t *transaction) exec(ctx context.Context, text string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, t.dialect.bind(text), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// each runs statements that take the same arguments.
func (t *transaction) each(ctx context.Context, args []any, texts ...string) error {
	for _, text := range texts {
		if _, err := t.exec(ctx, text, args...); err != nil {
			return err
		}
	}
	return nil
}

// row runs a SELECT whose answer is one line.
func (t *transaction) row(ctx context.Context, text string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.dialect.bind(text), args...)
}
