package udp

import "github.com/netpupper/netp"

// shifted is the distribution of all samples plus a constant. Smallest and largest sample stay exact, the others keep the
// error of the bucket they were in.
func shifted(d *netp.Distribution, by int64) *netp.Distribution {
	return &netp.Distribution{
		Resolution: d.Resolution, BatchLength: d.BatchLength, All: shiftedHistogram(d.All, by),
		Base: d.Base + by, Batches: d.Batches, // batches are relative to the base
	}
}

func shiftedHistogram(h *netp.Histogram, by int64) *netp.Histogram {
	out := new(netp.Histogram)
	if h.Count() == 0 {
		return out
	}
	inner := func(b netp.Bucket) int64 {
		middle := b.Low + (b.High-b.Low)/2
		return min(max(middle, h.Min()), h.Max()) + by
	}
	buckets := h.Buckets()
	first, last := &buckets[0], &buckets[len(buckets)-1]
	out.Record(h.Min() + by)
	first.Count--
	if h.Count() > 1 {
		last.Count--
	}
	for _, b := range buckets {
		out.RecordN(inner(b), b.Count)
	}
	if h.Count() > 1 {
		out.Record(h.Max() + by)
	}
	return out
}
