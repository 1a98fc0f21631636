package emulator

import (
	"errors"
	"fmt"
	"time"
)

// Distributions of the random part of a delay, beside the fixed part Delay.
const (
	Uniform     = "uniform"     // between 0 and Jitter
	Exponential = "exponential" // of mean Jitter
	Normal      = "normal"      // of mean 0 and standard deviation Jitter; the sum is never negative
	HeavyTailed = "heavy"       // Lomax of shape 2: mean Jitter, no variance; cut at 1000 times Jitter
)

// Impair is what one direction of a line does to packets. The zero value is a perfect cable. Shares are between 0 and 1. The
// steps come in the order of the fields from Down to Jitter; lengths are those of the IP packet.
type Impair struct {
	// Only chooses the packets that are impaired; the others pass with Delay, uncounted. Nil chooses all IP packets.
	Only *Filter `json:",omitempty"`
	// Down loses everything, what Only does not choose too.
	Down bool `json:",omitempty"`
	// MaxLength drops longer packets without a word (an MTU black hole); 0 drops none.
	MaxLength int `json:",omitempty"`
	// Loss is the share lost at random.
	Loss float64 `json:",omitempty"`
	// LossEvery loses each packet whose number, counted from 0, leaves LossPhase modulo LossEvery; 0 loses none.
	LossEvery, LossPhase uint64 `json:",omitempty"`
	// Burst loses by the model of Gilbert and Elliott.
	Burst *Burst `json:",omitempty"`
	// Corrupt is the share in which one bit behind the IP header is turned.
	Corrupt float64 `json:",omitempty"`
	// Mark is the share of the ECN-capable packets marked "congestion experienced".
	Mark float64 `json:",omitempty"`
	// Duplicate is the share sent twice.
	Duplicate float64 `json:",omitempty"`
	// Rate serialises frames (IP packet and 14 bytes of Ethernet) at so many bit/s; 0 is without limit.
	Rate float64 `json:",omitempty"`
	// Queue is how many bytes of frames wait for the line at most before it drops; 0 means 100 ms at Rate, at least 3 000.
	Queue int `json:",omitempty"`
	// Delay is fixed, Jitter random as of Dist ("" is Uniform).
	Delay, Jitter time.Duration `json:",omitempty"`
	Dist          string        `json:",omitempty"`
	// KeepOrder holds a packet until those before it have left.
	KeepOrder bool `json:",omitempty"`
	// Reorder is the share delayed by ReorderBy more.
	Reorder   float64       `json:",omitempty"`
	ReorderBy time.Duration `json:",omitempty"`
	// Seed makes all of this repeatable, packet by packet.
	Seed uint64 `json:",omitempty"`
}

// Burst is the model of Gilbert and Elliott: in the good state the share LossGood is lost, in the bad state LossBad; before each
// packet the state turns bad with the probability Enter, good with Leave.
type Burst struct{ Enter, Leave, LossGood, LossBad float64 }

// Filter chooses packets; zero fields choose all.
type Filter struct {
	Protocol             int `json:",omitempty"` // of IP: 6 TCP, 17 UDP, 1 ICMP
	Port                 int `json:",omitempty"` // source or destination
	MinLength, MaxLength int `json:",omitempty"` // of the IP packet
}

// Check says what is wrong with the values.
func (i Impair) Check() error {
	var wrong []error
	share := func(name string, v float64) {
		if !(v >= 0 && v <= 1) {
			wrong = append(wrong, fmt.Errorf("%s is %v: it is a share between 0 and 1", name, v))
		}
	}
	share("Loss", i.Loss)
	share("Corrupt", i.Corrupt)
	share("Mark", i.Mark)
	share("Duplicate", i.Duplicate)
	share("Reorder", i.Reorder)
	if b := i.Burst; b != nil {
		share("Burst.Enter", b.Enter)
		share("Burst.Leave", b.Leave)
		share("Burst.LossGood", b.LossGood)
		share("Burst.LossBad", b.LossBad)
	}
	if i.Delay < 0 || i.Jitter < 0 || i.ReorderBy < 0 {
		wrong = append(wrong, errors.New("a delay is negative"))
	}
	if i.Delay+i.ReorderBy > time.Minute || i.Jitter > time.Minute {
		wrong = append(wrong, errors.New("a delay is above a minute"))
	}
	if i.Rate < 0 || i.Rate > 0 && i.Rate < 1000 {
		wrong = append(wrong, fmt.Errorf("a Rate of %v: at least 1000 bit/s, or 0 for none", i.Rate))
	}
	if i.Queue < 0 || i.MaxLength < 0 {
		wrong = append(wrong, errors.New("a length is negative"))
	}
	if i.LossPhase > 0 && i.LossPhase >= i.LossEvery {
		wrong = append(wrong, fmt.Errorf("a LossPhase of %d: it must be less than LossEvery, %d", i.LossPhase, i.LossEvery))
	}
	switch i.Dist {
	case "", Uniform, Exponential, Normal, HeavyTailed:
	default:
		wrong = append(wrong, fmt.Errorf("a Dist of %q: use %s, %s, %s or %s", i.Dist, Uniform, Exponential, Normal, HeavyTailed))
	}
	return errors.Join(wrong...)
}
