package pace

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts nanoseconds in 16 linear steps per power of two, i.e. to within 7 %. Its size is fixed.
type histogram struct {
	buckets [bucketCount]uint64
	total   uint64
	max     int64
}

const (
	stepBits    = 4
	steps       = 1 << stepBits
	bucketCount = (63 - stepBits + 1) * steps // for all int64 that are not negative
)

// add counts a value n times; negative ones as 0.
func (h *histogram) add(v int64, n uint64) {
	v = max(v, 0)
	h.buckets[bucket(uint64(v))] += n
	h.total += n
	h.max = max(h.max, v)
}

// bucket is the index of a value.
func bucket(v uint64) int {
	if v < steps {
		return int(v)
	}
	exponent := bits.Len64(v) - 1
	return (exponent-stepBits+1)*steps + int(v>>(exponent-stepBits))&(steps-1)
}

// highest is the largest value of a bucket.
func highest(index int) int64 {
	if index < steps {
		return int64(index)
	}
	shift := index/steps - 1
	return int64((uint64(steps+index%steps)+1)<<shift - 1)
}

// quantile gives the value below or at which a share of the values lies, rounded up to the end of its bucket; 0 without values.
func (h *histogram) quantile(share float64) time.Duration {
	rank := uint64(math.Ceil(share * float64(h.total)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(min(highest(i), h.max))
		}
	}
	return 0
}
