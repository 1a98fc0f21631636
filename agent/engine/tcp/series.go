package tcp

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/netpupper/netp"
)

const (
	firstCell = int64(time.Millisecond) // of a series whose length is not known
	maxCells  = 1 << 21                 // so that they stay shorter than an interval for a day, the longest transfer
)

// series counts the payload that arrives on all streams of a direction, in cells of equal length. All times are monotonic
// nanoseconds of the receiver.
//
// Limited by time, the cells are the intervals of the result and fill the window exactly. Limited by bytes, the length is
// not known beforehand: cells start with 1 ms and double when there are too many, and the intervals are cut from them in the end.
type series struct {
	omit   int64
	window int64 // 0 when not known
	limit  int64 // from the start to the end of the measurement, at the latest
	begun  chan struct{}

	mu      sync.Mutex // guards what follows
	start   int64      // 0 before begin
	last    int64      // arrival of the last byte
	width   int64
	cells   []uint64
	counted uint64 // in the window
	all     uint64 // warm-up and tail included
}

func newSeries(o options) *series {
	s := &series{omit: int64(o.omit), limit: int64(o.omit + o.duration), begun: make(chan struct{}), width: firstCell}
	if o.bytes > 0 {
		s.cells = make([]uint64, 0, 1<<12)
		return s
	}
	n := intervalsIn(o.duration)
	s.width = int64(o.duration) / int64(n)
	s.window = s.width * int64(n)
	s.cells = make([]uint64, n)
	return s
}

// begin starts the clock of the series, if it is not running yet.
func (s *series) begin(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked(now)
}

func (s *series) beginLocked(now int64) {
	if s.start == 0 {
		s.start = max(now, 1)
		close(s.begun)
	}
}

// add counts n bytes that arrived at now.
func (s *series) add(now int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked(now)
	now = max(now, s.start) // the stream that began it looked at the clock later, and was here sooner
	s.all += uint64(n)
	s.last = max(s.last, now)
	t := now - s.start - s.omit
	if t < 0 || (s.window > 0 && t >= s.window) {
		return
	}
	s.counted += uint64(n)
	i := t / s.width
	if s.window == 0 {
		for i >= maxCells {
			s.halve()
			i = t / s.width
		}
		for int64(len(s.cells)) <= i {
			s.cells = append(s.cells, 0)
		}
	}
	s.cells[i] += uint64(n)
}

// halve joins neighbouring cells.
func (s *series) halve() {
	for i := range len(s.cells) {
		n := s.cells[i]
		s.cells[i] = 0
		s.cells[i/2] += n
	}
	s.cells = s.cells[:(len(s.cells)+1)/2]
	s.width *= 2
}

// beat tells how far the series is.
func (s *series) beat(now int64) beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start == 0 {
		return beat{}
	}
	return beat{s.all, time.Duration(now - s.start)}
}

// end is when the measurement is over at the latest; meaningful once begun.
func (s *series) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start + s.limit
}

// goodput is the measurement of a direction: bytes in intervals of equal length.
type goodput struct {
	bytes    uint64
	elapsed  time.Duration // of all intervals together
	interval []uint64
}

// measure closes the account at now. A window that is not over yet is cut after its last whole interval, and a transfer that is not
// complete ends now.
func (s *series) measure(now int64, complete bool) goodput {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start == 0 {
		return goodput{}
	}
	if s.window == 0 {
		end := now
		if complete {
			end = s.last
		}
		return s.cut(max(1, end-s.start))
	}
	n := min(int64(len(s.cells)), max(0, now-s.start-s.omit)/s.width)
	g := goodput{elapsed: time.Duration(n * s.width), interval: slices.Clone(s.cells[:n])}
	for _, b := range g.interval {
		g.bytes += b
	}
	return g
}

// cut makes intervals of equal length out of the cells. The bytes of a cell across a border are shared by time; the sum is exact.
func (s *series) cut(elapsed int64) goodput {
	g := goodput{bytes: s.counted, elapsed: time.Duration(elapsed)}
	n := intervalsIn(g.elapsed)
	sums := make([]uint64, 1, len(s.cells)+1) // bytes before each cell
	for i, b := range s.cells {
		sums = append(sums, sums[i]+b)
	}
	var before uint64
	for i := 1; i <= n; i++ {
		upto := s.counted
		if i < n {
			upto = s.until(float64(elapsed)*float64(i)/float64(n), sums)
		}
		g.interval = append(g.interval, upto-before)
		before = upto
	}
	return g
}

// until is how many bytes arrived in the first t nanoseconds; sums are those before each cell.
func (s *series) until(t float64, sums []uint64) uint64 {
	whole, part := math.Modf(t / float64(s.width))
	i := int(whole)
	if i >= len(s.cells) {
		return sums[len(s.cells)]
	}
	return sums[i] + uint64(float64(s.cells[i])*part)
}

// throughput is the distribution over the intervals. One unit of a sample is one byte per interval, so that the mean is bytes/time.
func (g goodput) throughput() *netp.Distribution {
	d := netp.NewDistribution(8 / (g.elapsed.Seconds() / float64(len(g.interval))))
	for _, b := range g.interval {
		d.Record(int64(b))
	}
	return d
}

// maxRows bounds the rows of one end, so that a session has at most 600.
const maxRows = 300

// rows is the time series for people; start is when the measurement began.
func (g goodput) rows(name string, start time.Duration) []netp.Interval {
	n := len(g.interval)
	if n == 0 {
		return nil
	}
	each := (n + maxRows - 1) / maxRows
	length := g.elapsed / time.Duration(n)
	var rows []netp.Interval
	for i := 0; i < n; i += each {
		group := g.interval[i:min(n, i+each)]
		var bytes uint64
		for _, b := range group {
			bytes += b
		}
		lasted := length * time.Duration(len(group))
		rows = append(rows, netp.Interval{
			Start: start + length*time.Duration(i), Length: lasted,
			Values: map[string]float64{name: float64(bytes) * 8 / lasted.Seconds()},
		})
	}
	return rows
}
