package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds connecting to a server, unless the URL says otherwise.
	connectTimeout = 10 * time.Second
	// attemptTimeout bounds one try at a transaction or query, also where the network
	// swallows everything.
	attemptTimeout = 2 * time.Minute
	// serverPatience is how long what the server's restart interrupts is tried again.
	serverPatience = 30 * time.Second
	// writersLock is the advisory lock that writing transactions hold one after
	// another, as SQLite's do: positions of the feed become visible in order, and two
	// that open an empty database make one schema. The number only has to be ours.
	writersLock = `SELECT pg_advisory_xact_lock(5644371083257401200)`
)

// serverTimeouts are the bounds that the server keeps for us [ms], unless the URL
// says otherwise: a statement, the wait for another writer, and a transaction whose
// client has gone silent while others wait for it.
func serverTimeouts() map[string]string {
	return map[string]string{
		"statement_timeout":                   "60000",
		"lock_timeout":                        "30000",
		"idle_in_transaction_session_timeout": "60000",
	}
}

// IsPostgres reports whether the place of a database is a server's URL.
func IsPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// openPostgres opens the database that a URL names. No error of it, or of the store
// later, has the URL's password.
func openPostgres(ctx context.Context, address string, notice func(string)) (*Store, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("open database: the URL of the PostgreSQL database cannot be read (it is not repeated here for its password); " +
			"write it like postgres://user:password@host:5432/database?sslmode=verify-full, with special characters in the password as %XX")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	settings := serverTimeouts()
	settings["application_name"] = "netp"
	for name, value := range settings {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(4) // one writes, the others read beside it
	db.SetConnMaxIdleTime(5 * time.Minute)
	s := newStore(db, postgresDialect(config), placeOf(config), notice)
	if err := s.checkEncoding(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.patience = serverPatience
	return s, nil
}

// placeOf names a database without the account's password.
func placeOf(config *pgx.ConnConfig) string {
	if strings.HasPrefix(config.Host, "/") { // a directory with a socket
		return fmt.Sprintf("postgres:///%s?host=%s", config.Database, config.Host)
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), Path: "/" + config.Database}
	if config.User != "" {
		u.User = url.User(config.User)
	}
	return u.String()
}

// checkEncoding refuses databases that cannot hold every text.
func (s *Store) checkEncoding(ctx context.Context) error {
	var encoding string
	err := s.query(ctx, "open database", `SHOW server_encoding`, nil, func(scan func(...any) error) error { return scan(&encoding) })
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("open database %s: its encoding is %s; make one for netp with createdb -E UTF8 -T template0", s.where, encoding)
	}
	return err
}

func postgresDialect(config *pgx.ConnConfig) dialect {
	return dialect{
		numbered: true,
		types:    strings.NewReplacer("BLOB", "BYTEA", "TEXT", `TEXT COLLATE "C"`), // ordered as SQLite does
		begin:    writersLock,
		migrate:  `SET LOCAL statement_timeout = 0`, // a table may be large
		attempt:  attemptTimeout,
		answers:  func(ctx context.Context) bool { return postgresAnswers(ctx, config) },
		lost:     postgresLost,
		away:     "its server does not answer, or has too much to do",
		full:     postgresFull,
		remedy:   postgresRemedy,
	}
}

// postgresAnswers reports whether a server says anything to who connects; a no is an
// answer, too.
func postgresAnswers(ctx context.Context, config *pgx.ConnConfig) bool {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return !pgconn.Timeout(err)
	}
	_ = conn.Close(ctx) // it was asked for its answer only
	return true
}

// postgresLost reports whether an error is of the connection, or of a server that
// restarts: the same thing tried again may succeed.
func postgresLost(err error) bool {
	if fault := (*pgconn.PgError)(nil); errors.As(err, &fault) {
		switch fault.Code {
		case "57P01", "57P02", "57P03", // shut down, crashed, not up yet
			"25P03", "53300", // our silence in a transaction, too many connections
			"40001", "40P01": // serialisation, deadlock
			return true
		}
		return strings.HasPrefix(fault.Code, "08")
	}
	var network *net.OpError
	var connect *pgconn.ConnectError
	return errors.Is(err, errSilent) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err)
}

// postgresFull reports whether an error is of a full disk.
func postgresFull(err error) bool {
	fault := (*pgconn.PgError)(nil)
	return errors.As(err, &fault) && fault.Code == "53100"
}

// postgresRemedy knows the server's codes (PostgreSQL's documentation, appendix A)
// and how connecting fails.
func postgresRemedy(err error) string {
	if fault := (*pgconn.PgError)(nil); errors.As(err, &fault) {
		return codeRemedy(fault.Code)
	}
	var name *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var verification *tls.CertificateVerificationError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &name):
		return "the server's host name is not known; check it in the URL, and the name service"
	case errors.As(err, &host), errors.As(err, &authority), errors.As(err, &verification):
		return "the server's certificate is not trusted; name its authority with sslrootcert=FILE in the URL, and the host as the certificate does"
	case errors.As(err, &connect) && strings.Contains(err.Error(), "refused TLS"):
		return "the server does not speak TLS; switch it on there (ssl = on), or say sslmode=disable in the URL where the network is trusted"
	case errors.As(err, &connect):
		return "no PostgreSQL server answers there; check that it runs (pg_isready), that it listens on that address, and the host and port in the URL"
	case errors.Is(err, context.DeadlineExceeded):
		return "the server did not answer in time; check the network, and what the server is busy with"
	case postgresLost(err):
		return "the connection to the server was lost; check that it runs, and run again"
	}
	return ""
}

func codeRemedy(code string) string {
	switch code {
	case "28P01", "28000":
		return "the server refuses the account; check the user and password in the URL, and the server's pg_hba.conf"
	case "3D000":
		return "the server has no such database; make it with createdb, or name another one in the URL"
	case "3F000":
		return "the schema that is to hold the tables is missing; make it with CREATE SCHEMA, or change search_path"
	case "42501":
		return "the account may not do this; make it the owner of the database, or grant it USAGE and CREATE on the schema and all rights on its tables"
	case "25006":
		return "the server takes no writes, as a standby or for default_transaction_read_only; name the primary in the URL, or several hosts with target_session_attrs=read-write"
	case "53100":
		return "the server's disk is full; make room there and run again"
	case "53200":
		return "the server is out of memory; see its log"
	case "53300":
		return "the server has no connection left; raise max_connections there, or stop what else uses it"
	case "55P03":
		return "another netp keeps the database from being written; wait for it to end, or stop it"
	case "57014":
		return "the server did not finish in time; see what it is busy with in pg_stat_activity"
	case "57P01", "57P02", "57P03":
		return "the server is being stopped or started; wait until pg_isready says that it accepts connections, and run again"
	case "42P01", "42703":
		return "its tables are not those that netp made; name an empty database, or restore it from a backup"
	case "XX001", "XX002":
		return "the server finds its files damaged; restore the database from a backup"
	case "54000":
		return "a name is longer than the database can index, about 2 600 characters; shorten it in the suite"
	case "22021", "22P05":
		return "a name has a character that the database cannot hold (U+0000); change it in the suite"
	}
	return ""
}
