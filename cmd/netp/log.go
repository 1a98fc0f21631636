package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// logger writes what NETP_LOG asks for (debug, info, warn, error) to standard
// error or the file NETP_LOG_PATH; nothing by default.
func (a *app) logger() *slog.Logger {
	var level slog.Level
	name := a.env.get("NETP_LOG")
	if name == "" {
		return slog.New(slog.DiscardHandler)
	}
	if level.UnmarshalText([]byte(strings.ToUpper(name))) != nil {
		a.err().Problem(fmt.Sprintf("NETP_LOG=%s is no level, so nothing is logged. Write debug, info, warn or error.", name))
		return slog.New(slog.DiscardHandler)
	}
	var out io.Writer = a.env.stderr
	if path := a.env.get("NETP_LOG_PATH"); path != "" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			a.err().Problem("NETP_LOG_PATH: " + err.Error())
			return slog.New(slog.DiscardHandler)
		}
		out = file // open until the process ends
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}
