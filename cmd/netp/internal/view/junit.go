package view

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	File     string      `xml:"file,attr,omitempty"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Classname  string           `xml:"classname,attr"`
	Name       string           `xml:"name,attr"`
	File       string           `xml:"file,attr,omitempty"`
	Line       int              `xml:"line,attr,omitempty"`
	Time       string           `xml:"time,attr"`
	Properties *junitProperties `xml:"properties,omitempty"`
	Failure    *junitOutcome    `xml:"failure,omitempty"`
	Error      *junitOutcome    `xml:"error,omitempty"`
	Skipped    *junitOutcome    `xml:"skipped,omitempty"`
	Output     string           `xml:"system-out,omitempty"`
}

type junitProperties struct {
	List []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes a report as JUnit XML: a testsuite per test, a testcase per
// session and assertion. JUnit has no word for inconclusive: it becomes skipped,
// with the property status = inconclusive.
func JUnit(r netp.Report) ([]byte, error) {
	doc := junitSuites{Name: r.Suite, Time: seconds(took(r).Seconds())}
	index, names := map[string]int{}, namesOf(r.Records)
	for _, record := range r.Records {
		i, ok := index[record.Test]
		if !ok {
			i = len(doc.Suites)
			index[record.Test] = i
			doc.Suites = append(doc.Suites, junitSuite{Name: record.Test})
		}
		doc.Suites[i].add(record, names.of(record.Session))
	}
	if r.Ended.IsZero() { // else those who read it would take what is there for all
		c := junitCase{Classname: "run", Name: ShortID(r.Run), Time: seconds(0)}
		c.outcome(netp.Errored, "the run "+unfinished, "")
		doc.Suites = append(doc.Suites, junitSuite{Name: "run", Cases: []junitCase{c}})
	}
	for i := range doc.Suites {
		s := &doc.Suites[i]
		s.close()
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
	}
	text, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(append([]byte(xml.Header), text...), '\n'), nil
}

func (s *junitSuite) add(r netp.Record, name string) {
	base := junitCase{Classname: r.Test, Name: name, Time: seconds(r.Result.Measured.Seconds())}
	if len(r.Judgements) == 0 {
		c := base
		text := ""
		if f := r.Result.Failure; f != nil {
			text = f.Detail
		}
		c.outcome(r.Status, "session "+string(r.Status), text)
		s.Cases = append(s.Cases, c)
	}
	for _, j := range r.Judgements {
		c := base
		c.Name += " " + j.Assertion
		c.File, c.Line = j.Location.File, j.Location.Line
		s.File = j.Location.File
		status := j.Status
		if r.Result.Failure != nil && r.Status == netp.Errored {
			status = netp.Errored
		}
		if j.Severity == netp.SeverityWarning && status == netp.Fail {
			c.Output = "warning: " + judgementText(r, j)
			status = netp.Pass
		}
		c.outcome(status, firstOf(j.Message, j.Reason, j.Condition), judgementText(r, j))
		s.Cases = append(s.Cases, c)
	}
}

func (c *junitCase) outcome(s netp.Status, message, text string) {
	c.Properties = &junitProperties{[]junitProperty{{"status", string(s)}}}
	o := &junitOutcome{Message: message, Type: string(s), Text: text}
	switch s {
	case netp.Fail:
		c.Failure = o
	case netp.Errored:
		c.Error = o
	case netp.Inconclusive:
		c.Skipped = o
	}
}

func (s *junitSuite) close() {
	total := 0.0
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
		var t float64
		fmt.Sscan(c.Time, &t)
		total += t
	}
	s.Time = seconds(total)
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// judgementText is the explanation of a judgement on a few plain lines.
func judgementText(r netp.Record, j netp.Judgement) string {
	var lines []string
	if f := r.Result.Failure; f != nil {
		lines = append(lines, f.Detail)
	}
	lines = append(lines, fmt.Sprintf("%s:%d: condition = %s", j.Location.File, j.Location.Line, strings.Join(strings.Fields(j.Condition), " ")))
	for _, e := range j.Estimates {
		lines = append(lines, e.Metric+": "+estimate.Describe(e))
	}
	for _, l := range j.Limits {
		lines = append(lines, "limit: "+l.Metric+" "+l.Op+" "+limitText(l, false))
	}
	message := j.Message
	if j.Status != netp.Fail { // it is for who reads a failure
		message = ""
	}
	for _, text := range []string{message, j.Reason, j.Settle} {
		if text != "" {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "\n")
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
