// Package store is the store of record: applied suites, runs, parts, records.
// SQLite in a file is the default; everything that differs between databases is a
// dialect, and storetest is what every one of them must pass.
//
// Whatever a method has returned from without an error is on the disk. Bodies are
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
)

// Store is an open store. Its methods may be called concurrently, also by several
// processes on one file.
type Store struct {
	db      *sql.DB
	dialect dialect
	// where names the database in errors: the file.
	where string
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
	return fmt.Sprintf("%s in %s is damaged: its checksum does not fit; restore the file from a backup, or move it away to start an empty one", d.What, d.Where)
}

// Ambiguous is the error for a shortened run id that several runs share.
type Ambiguous struct {
	ID   string
	Runs []string
}

// Error lists the candidates.
func (a *Ambiguous) Error() string {
	return fmt.Sprintf("run %s is ambiguous: %v", a.ID, a.Runs)
}

// Close closes the store.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return s.explain("close", err)
	}
	return nil
}

// explain names the database and, where known, the remedy.
func (s *Store) explain(operation string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if remedy := s.dialect.remedy(err); remedy != "" {
		return fmt.Errorf("%s %s: %s: %w", operation, s.where, remedy, err)
	}
	return fmt.Errorf("%s %s: %w", operation, s.where, err)
}

// write runs statements in one transaction: all of them, or none.
func (s *Store) write(ctx context.Context, operation string, statements func(*transaction) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(operation, err)
	}
	if err := statements(&transaction{tx: tx, dialect: s.dialect}); err != nil {
		return s.explain(operation, errors.Join(err, tx.Rollback()))
	}
	return s.explain(operation, tx.Commit())
}

// query runs a SELECT and calls row for each line of the answer.
func (s *Store) query(ctx context.Context, operation, text string, args []any, row func(scan func(...any) error) error) error {
	rows, err := s.db.QueryContext(ctx, s.dialect.bind(text), args...)
	if err != nil {
		return s.explain(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return s.explain(operation, err)
		}
	}
	return s.explain(operation, rows.Err())
}

// transaction is what statements run in.
type transaction struct {
	tx      *sql.Tx
	dialect dialect
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
