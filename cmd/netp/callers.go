package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// maxStrangers bounds the connections to the API that have not shown a good token.
const maxStrangers = 1024

// callers is a listener with a reserve for those who belong here: the connections
// that have shown no good token yet are bounded, and when one too many comes the
// oldest of the source that has the most of them goes. Who has shown one stays.
type callers struct {
	net.Listener
	max int

	mu        sync.Mutex // guards what follows
	strangers []*caller  // the oldest first
}

// caller is one connection.
type caller struct {
	net.Conn
	from netip.Addr
	of   *callers
}

// Accept waits for the next connection; see net.Listener.
func (l *callers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &caller{Conn: conn, of: l}
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		c.from = at.Addr()
	}
	if out := l.add(c); out != nil {
		out.Close()
	}
	return c, nil
}

// add takes a connection in and gives the one that has to go for it, if one has.
func (l *callers) add(c *caller) (out *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strangers = append(l.strangers, c)
	if len(l.strangers) <= l.max {
		return nil
	}
	count, most := map[netip.Addr]int{}, 0
	for _, s := range l.strangers {
		count[s.from]++
		most = max(most, count[s.from])
	}
	for _, s := range l.strangers {
		if count[s.from] == most {
			return s // its Close takes it out
		}
	}
	return nil
}

// remove takes a connection out of the strangers.
func (l *callers) remove(c *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.strangers {
		if s == c {
			l.strangers = append(l.strangers[:i], l.strangers[i+1:]...)
			return
		}
	}
}

// Close closes the connection; it may be called more than once.
func (c *caller) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}

// callerKey is where the context of a request has its caller.
type callerKey struct{}

// callerContext is for http.Server.ConnContext, behind TLS.
func callerContext(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, callerKey{}, conn)
}

// recognise makes connections those of friends when a request shows a good token.
func recognise(good func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(callerKey{}).(*caller); ok && good(r) {
			c.of.remove(c)
		}
		next.ServeHTTP(w, r)
	})
}
