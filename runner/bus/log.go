package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// bridge hands the server's log lines to slog, and keeps its last words.
type bridge struct {
	logger *slog.Logger
	fatal  atomic.Pointer[string]
}

func (b *bridge) failed() bool { return b.fatal.Load() != nil }

// weight makes less of the warning about a setting that is meant.
func (b *bridge) weight(format string) slog.Level {
	if strings.HasPrefix(format, "Clients that are not using") {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (b *bridge) log(level slog.Level, format string, args []any) {
	if b.logger != nil {
		b.logger.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

// Noticef and the others are the server's logger.
func (b *bridge) Noticef(format string, args ...any) { b.log(slog.LevelDebug, format, args) }
func (b *bridge) Warnf(format string, args ...any)   { b.log(b.weight(format), format, args) }
func (b *bridge) Errorf(format string, args ...any)  { b.log(slog.LevelError, format, args) }
func (b *bridge) Debugf(format string, args ...any)  { b.log(slog.LevelDebug, format, args) }
func (b *bridge) Tracef(format string, args ...any)  { b.log(slog.LevelDebug, format, args) }
func (b *bridge) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.fatal.Store(&text)
	b.log(slog.LevelError, format, args)
}
