// Package vault seals small values with a key of the controller's data directory,
// so that whoever reads the database, or a copy of it, does not read secrets. It
// does not protect against who can read the data directory itself. Start with Open.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/netpupper/netp/durable"
)

// Vault seals and unseals. It may be used concurrently.
type Vault struct{ aead cipher.AEAD }

const keySize = 32 // AES-256

// ErrSealed is returned for what was sealed with another key or for another purpose.
var ErrSealed = errors.New("it was sealed with another key")

// Open reads the key file, or makes it when there is none. Only its owner may read
// it.
func Open(file string) (*Vault, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("open the key for secrets: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("open the key for secrets: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && checksModes {
		return nil, fmt.Errorf("others than its owner may read or write the key for secrets, %s; make it private: chmod 600 %s", file, file)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("the key for secrets, %s, has %d bytes and not %d; put the right file back", file, len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Vault{aead}, nil
}

// makeKey makes a key file: completely, or not at all.
func makeKey(file string) (key []byte, err error) {
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, durable.WriteFile(file, key, 0o600)
}

// Seal writes a value as JSON that only Unseal with the same key and purpose reads.
func (v *Vault) Seal(purpose string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	nonce := make([]byte, v.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	return v.aead.Seal(nonce, nonce, plain, []byte(purpose)), nil
}

// Unseal reads what Seal wrote; ErrSealed when it cannot be that.
func (v *Vault) Unseal(purpose string, sealed []byte, into any) error {
	n := v.aead.NonceSize()
	if len(sealed) < n {
		return fmt.Errorf("unseal %s: %w", purpose, ErrSealed)
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], []byte(purpose))
	if err != nil {
		return fmt.Errorf("unseal %s: %w", purpose, ErrSealed)
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return fmt.Errorf("unseal %s: %w", purpose, err)
	}
	return nil
}
