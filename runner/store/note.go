package store

import (
	"context"
	"fmt"
)

// SaveNote keeps a small value under a key, as JSON, in place of what was there.
func (s *Store) SaveNote(ctx context.Context, key string, value any) error {
	body, sum, err := pack(value, key)
	if err != nil {
		return fmt.Errorf("save note %s: %w", key, err)
	}
	return s.write(ctx, "save a note in", func(t *transaction) error {
		_, err := t.exec(ctx, `INSERT INTO notes (name, body, sum) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET body = excluded.body, sum = excluded.sum`, key, body, sum)
		return err
	})
}

// Note reads what is kept under a key, and says whether anything is.
func (s *Store) Note(ctx context.Context, key string, into any) (found bool, err error) {
	err = s.query(ctx, "read a note in", `SELECT body, sum FROM notes WHERE name = ?`, []any{key},
		func(scan func(...any) error) error {
			var body []byte
			var sum string
			if err := scan(&body, &sum); err != nil {
				return err
			}
			found = true
			return s.unpack(body, sum, into, "note", key)
		})
	return found && err == nil, err
}

// DeleteNote forgets what is kept under a key, if anything is.
func (s *Store) DeleteNote(ctx context.Context, key string) error {
	return s.write(ctx, "delete a note in", func(t *transaction) error {
		_, err := t.exec(ctx, `DELETE FROM notes WHERE name = ?`, key)
		return err
	})
}
