package stamp

import (
	"math"
	"math/bits"
	"time"
)

// Time is a timestamp as it is in a packet: NTP's format (RFC 5905 §6, seconds since 1900 and fractions of 2^-32 s) or PTP's
// (IEEE 1588, cut to 32 bits of seconds, and nanoseconds). The error estimate beside it says which.
type Time uint64

const (
	second = int64(time.Second)
	// epochs is from 1 January 1900, NTP's epoch, to 1 January 1970, in seconds.
	epochs = 2_208_988_800
)

// NTP makes a timestamp in NTP's format of Unix nanoseconds. Unix gives back the same number.
func NTP(unixNanos int64) Time {
	seconds, nanos := floor(unixNanos)
	// Rounded up, so that the fraction cut off on the way back is never a whole nanosecond.
	high, low := bits.Mul64(uint64(nanos), 1<<32)
	fraction, rest := bits.Div64(high, low, uint64(second))
	if rest > 0 {
		fraction++
	}
	return Time(uint64(seconds+epochs)<<32 | fraction)
}

// PTP makes a timestamp in PTP's cut format of Unix nanoseconds.
func PTP(unixNanos int64) Time {
	seconds, nanos := floor(unixNanos)
	return Time(uint64(seconds)<<32 | uint64(nanos))
}

// Unix gives Unix nanoseconds; the format is that of the estimate sent along. Formats of 32 bits of seconds repeat: NTP times
// are taken as those between 1968 and 2104 (RFC 4330 §3), PTP times as those between 1970 and 2106.
func (t Time) Unix(e Estimate) int64 {
	seconds, low := int64(t>>32), uint64(t&math.MaxUint32)
	if e.PTP() {
		return seconds*second + int64(low)
	}
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	return (seconds-epochs)*second + int64(low*uint64(second)>>32)
}

// floor splits nanoseconds into seconds and a rest that is not negative.
func floor(nanos int64) (seconds, rest int64) {
	seconds, rest = nanos/second, nanos%second
	if rest < 0 {
		seconds, rest = seconds-1, rest+second
	}
	return seconds, rest
}

// Estimate is the error estimate beside a timestamp (RFC 4656 §4.1.2, RFC 8762 §4.2.1).
//
//	bit 15      S: the clock is synchronised to UTC by an external source
//	bit 14      Z: the timestamp is in PTP's format (RFC 8186), else NTP's
//	bits 8-13   scale
//	bits 0-7    multiplier, never zero: the error is multiplier * 2^(scale-32) s
type Estimate uint16

const (
	synchronised = 1 << 15
	ptpFormat    = 1 << 14
	maxScale     = 63
)

// NewEstimate makes the estimate of an error bound, rounded up; a bound of zero or less becomes the smallest there is.
func NewEstimate(bound time.Duration, sync, ptp bool) Estimate {
	units := math.Ceil(math.Max(bound.Seconds(), 0) * (1 << 32)) // of 2^-32 s
	scale := 0
	for units > math.MaxUint8 && scale < maxScale {
		units, scale = math.Ceil(units/2), scale+1
	}
	e := Estimate(scale<<8) | Estimate(math.Max(units, 1))
	if sync {
		e |= synchronised
	}
	if ptp {
		e |= ptpFormat
	}
	return e
}

// Synchronised is the S bit.
func (e Estimate) Synchronised() bool { return e&synchronised != 0 }

// PTP is the Z bit.
func (e Estimate) PTP() bool { return e&ptpFormat != 0 }

// Bound is the error; at most the longest Duration.
func (e Estimate) Bound() time.Duration {
	seconds := math.Ldexp(float64(e.multiplier()), int(e>>8&maxScale)-32)
	if seconds >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(seconds * 1e9)
}

func (e Estimate) multiplier() uint8 { return uint8(e) }
