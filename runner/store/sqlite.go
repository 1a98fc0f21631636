package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

// SQLite's primary result codes (https://sqlite.org/rescode.html) that have a remedy.
const (
	codePermission = 3
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCannotOpen = 14
	codeNotADB     = 26
)

// openSQLite opens the database in a file; it makes the file and its directory when
// they are missing.
func openSQLite(ctx context.Context, file string, notice func(string)) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the database %s: %w", file, err)
	}
	db, err := sql.Open("sqlite", source(file))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	db.SetMaxOpenConns(4) // one writes, the others read beside it
	s := newStore(db, sqliteDialect(), file, notice)
	s.patience = lockPatience
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// lockPatience is how long to wait for another process that keeps the database locked.
const lockPatience = 15 * time.Second

// source is the driver's name for a file: write-ahead log, every commit synced, two
// seconds until another process's lock is an error (and the same thing is tried again),
// and transactions that take the write lock when they begin, so that they never fail
// half-way.
func source(file string) string {
	return driverName(file, "_txlock=immediate&_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)")
}

func driverName(file, query string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath(), RawQuery: query}
	return u.String()
}

func sqliteDialect() dialect {
	return dialect{lost: sqliteBusy, away: "another process keeps it locked", full: sqliteFull, remedy: sqliteRemedy}
}

// sqliteFull reports whether an error is of a full disk.
func sqliteFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == codeFull
}

// sqliteBusy reports whether an error is that another process has the lock.
func sqliteBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == codeBusy
}

func sqliteRemedy(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code() & 0xff {
	case codeBusy, codeLocked:
		return "another process keeps the database locked; wait for it to end, or find it with fuser or lsof and stop it; then try again"
	case codeFull:
		return "the disk is full; make room and run again"
	case codeReadOnly, codePermission:
		return "the database cannot be written; check the owner and mode of the file and its directory"
	case codeCannotOpen:
		return "the database cannot be opened; check that its directory exists and can be written"
	case codeCorrupt:
		return "the database is damaged; restore the file from a backup, or move it away to start an empty one"
	case codeNotADB:
		return "the file is no SQLite database; move it away, or name another file"
	case codeIO:
		return "the disk reports an error; look into the system's log"
	}
	return ""
}
