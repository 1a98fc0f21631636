package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// OpenToRead opens the SQLite database in a file that this process cannot write, as it is: nothing is made, and every method that
// writes gives an error. A database of another version is an error, too, for its schema cannot be brought up to date.
func OpenToRead(ctx context.Context, file string, notice func(string)) (*Store, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db, err := sql.Open("sqlite", sourceToRead(file))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	s := newStore(db, sqliteDialect(), file, notice)
	s.patience = lockPatience
	if err := s.checkVersion(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// sourceToRead is the driver's name for a file that is only read from. Where nobody has left a write-ahead log the file is the
// whole database, and SQLite is kept from making its auxiliary files beside it: it may not.
func sourceToRead(file string) string {
	query := "mode=ro&_pragma=busy_timeout(2000)"
	if info, err := os.Stat(file + "-wal"); err != nil || !info.Mode().IsRegular() {
		query += "&immutable=1"
	}
	return driverName(file, query)
}

// checkVersion fails unless the schema is of this version.
func (s *Store) checkVersion(ctx context.Context) error {
	version := 0
	err := s.query(ctx, "read", `SELECT version FROM netp_schema`, nil, func(scan func(...any) error) error { return scan(&version) })
	switch known := len(migrations()); {
	case err != nil:
		return err
	case version > known:
		return fmt.Errorf("read %s: %w", s.where, ErrNewer)
	case version < known:
		return fmt.Errorf("read %s: it was written by an older version of netp, and cannot be brought up to date without being written", s.where)
	}
	return nil
}
