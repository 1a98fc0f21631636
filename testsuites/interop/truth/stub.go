//go:build linux

package main

import (
	"context"
	"github.com/netpupper/netp/testsuites/lab"
)

func instrumentTable(ctx context.Context, l *lab.Lab, s scale) (table, error) { return table{}, nil }
func coverageTable(ctx context.Context, l *lab.Lab, s scale) (table, error)   { return table{}, nil }
func hostileTable(ctx context.Context, l *lab.Lab, s scale) (table, error)    { return table{}, nil }
