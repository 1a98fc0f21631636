package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Announce renews the presence of key for a lease.
func (b *Bus) Announce(ctx context.Context, key string, value []byte) error {
	if _, err := b.presence.Put(ctx, key, value); err != nil {
		return fmt.Errorf("renew the presence of %s: %w", key, err)
	}
	return nil
}

// Withdraw ends the presence of key.
func (b *Bus) Withdraw(ctx context.Context, key string) error {
	err := b.presence.Purge(ctx, key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("end the presence of %s: %w", key, err)
	}
	return nil
}

// Watch tells of every presence there is, and then of each that is renewed or,
// with a nil value, has ended, until ctx is done: it gives nil then. Calls do not
// overlap.
func (b *Bus) Watch(ctx context.Context, seen func(key string, value []byte)) error {
	watcher, err := b.presence.WatchAll(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("watch presence: %w", err)
	}
	defer watcher.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done(): // ends the watcher, too: either may be seen first
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok && ctx.Err() == nil:
				return errors.New("watch presence: the bus ended the watch")
			case !ok: // by the end of ctx
			case entry == nil: // all there were have been told
			case entry.Operation() == jetstream.KeyValuePut:
				seen(entry.Key(), entry.Value())
			default:
				seen(entry.Key(), nil)
			}
		}
	}
	return nil
}
