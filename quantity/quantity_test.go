package quantity

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 3200: "3.2 µs", 11534 * time.Microsecond: "11.5 ms", time.Minute: "60 s", 90 * time.Minute: "5400 s",
		168 * time.Hour: "168 h", 24*time.Hour + time.Second: "86 401 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.0312, "s", "31.2 ms"}, {0, "s", "0 ms"}, {-0.0005, "s", "-500 µs"}, {0.00099996, "s", "1 ms"},
		{61, "s", "61 s"}, {3e-9, "s", "3 ns"}, {0.0043, "1", "0.43 %"}, {0, "1", "0 %"}, {1, "1", "100 %"},
		{938e6, "bit/s", "938 Mbit/s"}, {1e9, "bit/s", "1 Gbit/s"}, {21.6e9, "B", "21.6 GB"},
		{13, "packets", "13 packets"}, {123456, "packets", "123 456 packets"}, {0.000012, "1", "0.0012 %"},
		{4.4, "", "4.4"}, {math.Inf(1), "s", "+Inf ms"},
		// What a share lacks to be all.
		{0.99964, "1", "99.964 %"}, {0.99833, "1", "99.83 %"}, {0.9999986, "1", "99.99986 %"}, {1 - 1e-12, "1", "99.9999999999 %"},
		{0.995, "1", "99.5 %"}, {0.95, "1", "95 %"}, {0.875, "1", "87.5 %"}, {1.00004, "1", "100 %"},
	} {
		if got := Format(c.v, c.unit); got != c.want {
			t.Errorf("Format(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestPlusMinusKeepsWhatTheIntervalSupports(t *testing.T) {
	for _, c := range []struct {
		v, half float64
		unit    string
		want    string
	}{
		{0.0312345, 0.0004, "s", "31.2 ms ± 0.4"}, {0.052, 0.038, "s", "52 ms ± 38"},
		{938.4e6, 4e6, "bit/s", "938 Mbit/s ± 4"}, {0.0312, 0, "s", "31.2 ms ± 0"},
	} {
		if got := PlusMinus(c.v, c.half, c.unit); got != c.want {
			t.Errorf("PlusMinus(%v, %v) = %q, want %q", c.v, c.half, got, c.want)
		}
	}
}

func TestExactKeepsAllDigits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{99.95e6, "bit/s", "99.95 Mbit/s"}, {0.0125, "s", "12.5 ms"}, {0.123456, "s", "123.456 ms"}, {0.9995, "1", "99.95 %"}, {0.1 / 100, "1", "0.1 %"},
		{12345.5, "s", "12 345.5 s"}, {12345, "packets", "12 345 packets"}, {0, "s", "0 ms"}, {-12345.5, "s", "-12345.5 s"},
	} {
		if got := Exact(c.v, c.unit); got != c.want {
			t.Errorf("Exact(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestIntervalTellsItsFiguresApart(t *testing.T) {
	for _, c := range []struct {
		v, low, high float64
		unit         string
		want         string
	}{
		{0.0043, 0.0023, 0.0074, "1", "0.43 % 0.23–0.74"}, {0.01, 0.00996, 0.01004, "s", "10 ms 9.96–10.04"}, {0.0307, 0.0306, 0.033, "s", "30.7 ms 30.6–33"},
		{0.03124, 0.03121, 0.03144, "s", "31.24 ms 31.21–31.44"}, {938.4e6, 935.2e6, 947.8e6, "bit/s", "938 Mbit/s 935–948"},
		{0.0005, -0.002, 0.0514, "s", "500 µs -2–51 ms"}, {0, 0, 0.0514, "s", "0 ms 0–51"}, {0.01, 0.01, 0.01, "s", "10 ms 10–10"},
		{17.26, 17.21, 17.9, "", "17.26 17.21–17.9"},
	} {
		if got := Interval(c.v, c.low, c.high, c.unit); got != c.want {
			t.Errorf("Interval(%v, %v, %v, %q) = %q, want %q", c.v, c.low, c.high, c.unit, got, c.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 3000: "3 000", 1234567: "1 234 567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
