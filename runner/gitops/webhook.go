package gitops

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxWebhook bounds a webhook's body.
const maxWebhook = 1 << 20

// Webhook answers the calls of forges that announce a push. It needs a shared
// secret and takes it in three forms: X-Hub-Signature-256 (GitHub, Gitea, Forgejo)
// and X-Netp-Signature carry sha256=<hex HMAC of the body>, X-Gitlab-Token carries
// the secret itself.
//
// The body is never parsed: a call with the right secret makes the sources look,
// and what they find is what counts. A call replayed or invented costs one look.
type Webhook struct {
	secret  []byte
	trigger func()
}

// NewWebhook makes the handler of /api/webhook. Trigger must not block, as
// Watcher.Poll does not.
func NewWebhook(secret []byte, trigger func()) (*Webhook, error) {
	if len(secret) < 16 {
		return nil, errors.New("a webhook's secret has at least 16 bytes")
	}
	return &Webhook{secret: secret, trigger: trigger}, nil
}

// ServeHTTP answers 202 to a call with the secret, 401 without, 413 to a body over 1 MiB.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	ok, status := h.admit(w, r)
	if !ok {
		text := http.StatusText(status)
		if status == http.StatusUnauthorized {
			text = "the secret is missing or is not the one of the webhook's secret file: send it as X-Gitlab-Token, or sign the body with it in X-Hub-Signature-256 or X-Netp-Signature"
		}
		http.Error(w, text, status)
		return
	}
	h.trigger()
	w.WriteHeader(http.StatusAccepted)
}

// admit checks the secret; a call that carries none is refused before its body is read.
func (h *Webhook) admit(w http.ResponseWriter, r *http.Request) (ok bool, status int) {
	if token := r.Header.Get("X-Gitlab-Token"); token != "" {
		return h.same(token), http.StatusUnauthorized
	}
	given := r.Header.Get("X-Hub-Signature-256")
	if given == "" {
		given = r.Header.Get("X-Netp-Signature")
	}
	text, found := strings.CutPrefix(given, "sha256=")
	want, err := hex.DecodeString(text)
	if !found || err != nil || len(want) != sha256.Size {
		return false, http.StatusUnauthorized
	}
	mac := hmac.New(sha256.New, h.secret)
	if _, err := io.Copy(mac, http.MaxBytesReader(w, r.Body, maxWebhook)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return false, http.StatusRequestEntityTooLarge
		}
		return false, http.StatusBadRequest
	}
	return hmac.Equal(mac.Sum(nil), want), http.StatusUnauthorized
}

// same compares without telling lengths or bytes by its time.
func (h *Webhook) same(token string) bool {
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256(h.secret)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
