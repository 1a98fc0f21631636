package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestStrangersLeaveRoomForFriends is threats T23: more idle connections than there
// is room for end each other; who has shown a token keeps the connection, and who
// comes from elsewhere gets in.
func TestStrangersLeaveRoomForFriends(t *testing.T) {
	const most = 16
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	house := &callers{Listener: l, max: most}
	good := func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer friend" }
	server := &http.Server{ConnContext: callerContext,
		Handler: recognise(good, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "welcome") }))}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(house)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	friend := call(t, house, "127.0.0.1")
	ask := func(c net.Conn, token string) error {
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
		}
		return err
	}
	if err := ask(friend, "friend"); err != nil {
		t.Fatal(err)
	}
	far := call(t, house, "127.0.0.9") // has said nothing yet
	var idle []net.Conn
	for range 20 * most {
		idle = append(idle, call(t, house, "127.0.0.1"))
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil { // ends when it is closed: the flood has come in
		t.Error("an idle connection heard something")
	}
	if err := ask(friend, "friend"); err != nil {
		t.Errorf("the friend: %v", err)
	}
	if err := ask(far, "friend"); err != nil {
		t.Errorf("who comes from elsewhere and was silent: %v", err)
	}
	if err := ask(call(t, house, "127.0.0.2"), "friend"); err != nil {
		t.Errorf("who comes from elsewhere now: %v", err)
	}
	if n := house.count(); n > most {
		t.Errorf("%d strangers, at most %d may be", n, most)
	}
}

// count is how many strangers there are.
func (l *callers) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.strangers)
}

func call(t *testing.T, l net.Listener, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 30 * time.Second}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
