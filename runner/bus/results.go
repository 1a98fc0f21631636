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
	consuming, err := b.results.Consume(func(m jetstream.Msg) {
		select {
		case incoming <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(2*maxBatch))
	if err != nil {
		return fmt.Errorf("read the results queue: %w", err)
	}
	defer consuming.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-incoming:
			b.take(gather(first, incoming), take)
		}
	}
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

func (b *Bus) take(batch []jetstream.Msg, take func([]Message) error) {
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
}

func settle(m jetstream.Msg, taken bool) error {
	if taken {
		return m.Ack()
	}
	return m.NakWithDelay(againAfter)
}
