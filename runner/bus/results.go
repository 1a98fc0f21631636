package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Message is one message of the results queue.
type Message struct {
	Subject string
	Data    []byte
}

const (
	// maxBatch is how many messages are taken at a time: one commit of the store.
	maxBatch = 64
	// againAfter is the pause before messages come again that could not be taken.
	againAfter = 2 * time.Second
)

// Results hands over what is in the results queue, in batches as they come, until
// ctx is done. The queue forgets a batch when take returns nil; else it brings its
// messages again. Messages may come more than once.
func (b *Bus) Results(ctx context.Context, take func([]Message) error) error {
	incoming := make(chan jetstream.Msg, maxBatch)
	consuming, err := b.consume(ctx, incoming)
	if err != nil {
		return fmt.Errorf("read the results queue: %w", err)
	}
	defer func() { consuming.Stop() }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-incoming:
			if b.take(gather(first, incoming), take) && len(incoming) == 0 {
				b.since.Store(0)
			}
		case <-look.C:
			if renewed := b.renew(ctx, incoming); renewed != nil {
				consuming.Stop()
				consuming = renewed
			}
		}
	}
}

// consume has the queue put what it has into incoming.
func (b *Bus) consume(ctx context.Context, incoming chan<- jetstream.Msg) (jetstream.ConsumeContext, error) {
	return b.results.Consume(func(m jetstream.Msg) {
		select {
		case incoming <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(2*maxBatch))
}

// lookEvery is how often the queue of an embedded server is looked after.
const lookEvery = 5 * time.Second

// renew makes the results queue anew when the server has given it up: after an error
// of the disk, say that it was full, it never writes again. What was in it comes
// again from the agents. It gives nil when there is nothing to do, or it did not
// succeed; the next look tries again then.
func (b *Bus) renew(ctx context.Context, incoming chan<- jetstream.Msg) jetstream.ConsumeContext {
	if b.broken == nil {
		return nil
	}
	why := b.broken()
	if why == "" {
		return nil
	}
	err := b.remake(ctx)
	if err == nil {
		var consuming jetstream.ConsumeContext
		if consuming, err = b.consume(ctx, incoming); err == nil {
			b.since.Store(0)
			b.logger.Warn("the results queue could not be written and was made anew; agents send again what was in it", "error", why)
			return consuming
		}
	}
	if ctx.Err() == nil {
		b.logger.Error("the results queue cannot be written; results wait with the agents", "error", why, "made anew", err)
	}
	return nil
}

// gather adds to the first message those that are there already.
func gather(first jetstream.Msg, incoming <-chan jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{first}
	for len(batch) < maxBatch {
		select {
		case m := <-incoming:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// Behind is how long ago the queue took in what is next to be handed over; 0 when
// all that it had is. What could not be taken counts until it is.
func (b *Bus) Behind() time.Duration {
	since := b.since.Load()
	if since == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, since)))
}

// take hands a batch over, and says whether that was all the queue had.
func (b *Bus) take(batch []jetstream.Msg, take func([]Message) error) (all bool) {
	if first, err := batch[0].Metadata(); err == nil {
		b.since.Store(first.Timestamp.UnixNano())
	}
	messages := make([]Message, len(batch))
	for i, m := range batch {
		messages[i] = Message{Subject: m.Subject(), Data: m.Data()}
	}
	taken := take(messages)
	if taken != nil {
		b.logger.Error("results stay in the queue", "count", len(batch), "error", taken)
	}
	for _, m := range batch {
		err := settle(m, taken == nil)
		if err != nil {
			b.logger.Warn("settle a result with the queue", "error", err) // it comes again
		}
	}
	last, err := batch[len(batch)-1].Metadata()
	return taken == nil && err == nil && last.NumPending == 0
}

func settle(m jetstream.Msg, taken bool) error {
	if taken {
		return m.Ack()
	}
	return m.NakWithDelay(againAfter)
}
