package view

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// table is rows of cells under a header. Columns listed in spare go, last first,
// when the table is too wide for the terminal: it drops columns, it never wraps.
type table struct {
	header []string
	rows   [][]string
	spare  []int
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// plain writes the table without borders, two spaces in from the margin.
func (t *table) plain(to Terminal) error {
	for _, row := range t.rows {
		for i := range row {
			row[i] = to.clean(row[i])
		}
	}
	fit := t.fit(to.Width)
	var text strings.Builder
	out := tablewriter.NewTable(&text,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off, ShowHeader: tw.Off},
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Left: "  ", Right: "", Overwrite: true}),
	)
	out.Header(fit.header)
	if err := out.Bulk(fit.rows); err != nil {
		return err
	}
	if err := out.Render(); err != nil {
		return err
	}
	for line := range strings.SplitSeq(strings.TrimRight(text.String(), "\n"), "\n") {
		if _, err := io.WriteString(to.Out, strings.TrimRight(line, " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// markdown writes the table as a pipe table.
func (t *table) markdown() (string, error) {
	var text strings.Builder
	out := tablewriter.NewTable(&text,
		tablewriter.WithRenderer(renderer.NewMarkdown()),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
	)
	out.Header(escapeAll(t.header))
	for _, row := range t.rows {
		if err := out.Append(escapeAll(row)); err != nil {
			return "", err
		}
	}
	err := out.Render()
	return text.String(), err
}

func escapeAll(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = escapeMarkdown(c)
	}
	return out
}

var markdownEscapes = strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ")

// escapeMarkdown keeps names from being read as table or HTML syntax.
func escapeMarkdown(s string) string { return markdownEscapes.Replace(s) }

// fit drops spare columns until the rest fits the width.
func (t *table) fit(width int) *table {
	out := t
	for _, column := range t.spare {
		if width <= 0 || out.width() <= width {
			break
		}
		out = out.without(t.header[column])
	}
	return out
}

func (t *table) width() int {
	sum := 0
	for i := range t.header {
		widest := visible(t.header[i])
		for _, row := range t.rows {
			widest = max(widest, visible(row[i]))
		}
		sum += widest + 2
	}
	return sum
}

func (t *table) without(name string) *table {
	for i, h := range t.header {
		if h != name {
			continue
		}
		out := &table{header: cut(t.header, i)}
		for _, row := range t.rows {
			out.rows = append(out.rows, cut(row, i))
		}
		return out
	}
	return t
}

func cut(cells []string, i int) []string {
	return append(append([]string(nil), cells[:i]...), cells[i+1:]...)
}

// visible is the number of columns a cell takes on a terminal, colours not counted.
func visible(s string) int {
	var shown strings.Builder
	for s != "" {
		if n := colour(s); n > 0 {
			s = s[n:]
			continue
		}
		shown.WriteByte(s[0])
		s = s[1:]
	}
	return runewidth.StringWidth(Terminal{}.clean(shown.String()))
}
