package main

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// point is one line of line protocol.
type point struct {
	measurement string
	tags        map[string]string
	fields      map[string]any // float64, int64 or string
	time        time.Time
}

// maxString bounds a text field; InfluxDB refuses those over 64 KiB.
const maxString = 8 << 10

// line writes the point; "" when it has no field left, as a point must have one.
func (p point) line() string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(p.fields)) {
		if text, ok := fieldValue(p.fields[name]); ok {
			fields = append(fields, escapeKey(name)+"="+text)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(escapeMeasurement(p.measurement))
	for _, name := range slices.Sorted(maps.Keys(p.tags)) { // sorted: faster for the server
		if value := escapeKey(p.tags[name]); value != "" && name != "" {
			b.WriteString("," + escapeKey(name) + "=" + value)
		}
	}
	b.WriteString(" " + strings.Join(fields, ",") + " " + strconv.FormatInt(p.time.UnixNano(), 10))
	return b.String()
}

// fieldValue writes a value; false for one that line protocol cannot hold.
func fieldValue(v any) (string, bool) {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), !math.IsNaN(v) && !math.IsInf(v, 0)
	case int64:
		return strconv.FormatInt(v, 10) + "i", true
	case string:
		return `"` + stringEscapes.Replace(shorten(v)) + `"`, v != ""
	}
	return "", false
}

func shorten(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > maxString {
		s = strings.ToValidUTF8(s[:maxString], "")
	}
	return s
}

var (
	stringEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	keyEscapes    = strings.NewReplacer("\\", "/", "\r\n", `\ `, "\n", `\ `, "\r", `\ `, "\x00", "", ",", `\,`, "=", `\=`, " ", `\ `)
	nameEscapes   = strings.NewReplacer(",", `\,`, " ", `\ `)
)

// escapeKey escapes tag names, tag values and field names. Line protocol knows no
// escape for a line end, and none for a backslash in this place that all versions
// read alike: the first becomes a space, the second a slash.
func escapeKey(s string) string { return keyEscapes.Replace(shorten(s)) }

func escapeMeasurement(s string) string { return nameEscapes.Replace(s) }
