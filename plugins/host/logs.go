package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of what a plugin may log.
const (
	maxLogLine   = 8 << 10 // bytes; the rest of a longer line is dropped
	linesAtOnce  = 200
	linesPerTick = 20 // each tick
	logTick      = time.Second
	tailLines    = 20
)

// logs takes what a plugin writes to its standard error: JSON lines as slog and hclog
// write them, or text. Lines over the rate are counted, secrets are blotted out, and
// the last lines are kept for the message of a crash.
type logs struct {
	to      *slog.Logger
	secrets *strings.Replacer

	mu      sync.Mutex
	last    []string // the last unstructured lines, or those from the beginning of a panic
	panics  bool
	tokens  int
	filled  time.Time
	dropped int
}

func newLogs(to *slog.Logger, secrets map[string]string) *logs {
	return &logs{to: to, secrets: blotter(secrets), tokens: linesAtOnce, filled: time.Now()}
}

// blotter replaces secrets in every form they are likely to be printed in. Very short
// ones are left: they would blot out ordinary words.
func blotter(secrets map[string]string) *strings.Replacer {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 4 {
			for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(string(quoted(s)), `"`)} {
				pairs = append(pairs, form, "(sensitive)")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

// read logs each line until the end of r.
func (l *logs) read(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			l.line(line)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil {
			l.report()
			return
		}
	}
}

// Write takes text the plugin printed by way of go-plugin.
func (l *logs) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		l.line(line[:min(len(line), maxLogLine)])
	}
	return len(p), nil
}

func (l *logs) line(raw []byte) {
	if !l.take() {
		return
	}
	text := l.secrets.Replace(strings.ToValidUTF8(string(bytes.TrimSpace(raw)), "�"))
	if text == "" {
		return
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) == nil && len(fields) > 0 {
		l.structured(fields)
		return
	}
	l.keep(text)
	l.to.Info("plugin prints", "text", text)
}

// keep remembers a line for the message of a crash.
func (l *logs) keep(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.panics && (strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")) {
		l.last, l.panics = nil, true
	}
	if len(l.last) == tailLines {
		if l.panics {
			return
		}
		l.last = l.last[1:]
	}
	l.last = append(l.last, text)
}

func (l *logs) structured(fields map[string]any) {
	text := func(names ...string) string {
		for _, n := range names {
			if s, ok := fields[n].(string); ok {
				delete(fields, n)
				return s
			}
		}
		return ""
	}
	var level slog.Level
	if level.UnmarshalText([]byte(text("level", "@level"))) != nil {
		level = slog.LevelInfo
	}
	message := text("msg", "@message")
	_ = text("time", "@timestamp")
	var attrs []slog.Attr
	for name, value := range fields {
		attrs = append(attrs, slog.Any(name, value))
	}
	l.to.LogAttrs(context.Background(), level, "plugin logs", slog.String("text", message), slog.Attr{Key: "fields", Value: slog.GroupValue(attrs...)})
}

// take reports whether one more line may be logged now.
func (l *logs) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ticks := int(time.Since(l.filled) / logTick); ticks > 0 {
		l.tokens = min(linesAtOnce, l.tokens+ticks*linesPerTick)
		l.filled = time.Now()
		if dropped := l.dropped; dropped > 0 {
			l.dropped = 0
			l.to.Warn("plugin logs too much", "dropped_lines", dropped)
		}
	}
	if l.tokens == 0 {
		l.dropped++
		return false
	}
	l.tokens--
	return true
}

func (l *logs) report() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		l.to.Warn("plugin logged too much", "dropped_lines", l.dropped)
		l.dropped = 0
	}
}

// tail is what the plugin printed last.
func (l *logs) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}
