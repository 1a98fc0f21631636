package labfile

import (
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

func impairShape() lang.Shape {
	return lang.Shape{
		Args: []string{
			"cut", "max_length", "loss", "loss_every", "loss_phase", "corrupt", "mark", "duplicate", "rate", "queue",
			"delay", "jitter", "distribution", "keep_order", "reorder", "reorder_by", "seed",
		},
		Blocks: map[string]lang.Shape{"burst": burstShape()},
	}
}

func burstShape() lang.Shape {
	return lang.Shape{Args: []string{"enter", "leave", "loss_good", "loss_bad"}, Required: []string{"enter", "leave"}}
}

// readImpair reads what a block does to packets; the rest is as in from.
func readImpair(b lang.Block, from emulator.Impair) emulator.Impair {
	i := from
	if b.Has("cut") {
		i.Down = b.Flag("cut")
	}
	i.MaxLength = b.Count("max_length", i.MaxLength)
	i.Loss = b.Share("loss", i.Loss)
	i.LossEvery = uint64(b.Count("loss_every", int(i.LossEvery)))
	i.LossPhase = uint64(b.Count("loss_phase", int(i.LossPhase)))
	i.Corrupt = b.Share("corrupt", i.Corrupt)
	i.Mark = b.Share("mark", i.Mark)
	i.Duplicate = b.Share("duplicate", i.Duplicate)
	i.Rate = b.BitRate("rate", i.Rate)
	i.Queue = int(b.Size("queue", uint64(i.Queue)))
	i.Delay = b.Duration("delay", i.Delay)
	i.Jitter = b.Duration("jitter", i.Jitter)
	if b.Has("keep_order") {
		i.KeepOrder = b.Flag("keep_order")
	}
	i.Reorder = b.Share("reorder", i.Reorder)
	i.ReorderBy = b.Duration("reorder_by", i.ReorderBy)
	i.Seed = uint64(b.Count("seed", int(i.Seed)))
	if b.Has("distribution") {
		i.Dist = b.Choice("distribution", []string{emulator.Uniform, emulator.Exponential, emulator.Normal, emulator.HeavyTailed})
	}
	if burst, ok := b.One("burst"); ok {
		i.Burst = &emulator.Burst{
			Enter: burst.Share("enter", 0), Leave: burst.Share("leave", 0),
			LossGood: burst.Share("loss_good", 0), LossBad: burst.Share("loss_bad", 1),
		}
	}
	if err := i.Check(); err != nil {
		b.Invalid("", "What is asked of the line cannot be: %v.", err)
	}
	return i
}
