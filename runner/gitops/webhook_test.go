package gitops

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWebhook(t *testing.T) {
	secret := "0123456789abcdef"
	sign := func(body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	large := strings.Repeat("x", maxWebhook+1)
	calls := 0
	h, err := NewWebhook([]byte(secret), func() { calls++ })
	must(t, err)
	for _, c := range []struct {
		name, method, header, value, body string
		want                              int
	}{
		{"github", "POST", "X-Hub-Signature-256", sign("{}"), "{}", http.StatusAccepted},
		{"plain", "POST", "X-Netp-Signature", sign(""), "", http.StatusAccepted},
		{"gitlab", "POST", "X-Gitlab-Token", secret, "not read", http.StatusAccepted},
		{"largest", "POST", "X-Netp-Signature", sign(large[1:]), large[1:], http.StatusAccepted},
		{"get", "GET", "X-Gitlab-Token", secret, "", http.StatusMethodNotAllowed},
		{"no secret", "POST", "X-Other", "x", "{}", http.StatusUnauthorized},
		{"wrong token", "POST", "X-Gitlab-Token", secret + "x", "", http.StatusUnauthorized},
		{"another body", "POST", "X-Hub-Signature-256", sign("{}"), "{ }", http.StatusUnauthorized},
		{"no hex", "POST", "X-Hub-Signature-256", "sha256=zz", "", http.StatusUnauthorized},
		{"sha1", "POST", "X-Hub-Signature-256", "sha1=" + strings.Repeat("0", 40), "", http.StatusUnauthorized},
		{"too large", "POST", "X-Netp-Signature", sign(large), large, http.StatusRequestEntityTooLarge},
	} {
		before := calls
		r := httptest.NewRequest(c.method, "/api/webhook", strings.NewReader(c.body))
		r.Header.Set(c.header, c.value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || (calls > before) != (c.want == http.StatusAccepted) {
			t.Errorf("%s: status %d, %d calls; want %d", c.name, w.Code, calls-before, c.want)
		}
		if w.Code == http.StatusUnauthorized && !strings.Contains(w.Body.String(), "X-Hub-Signature-256") {
			t.Errorf("%s: the answer %q does not say what is needed", c.name, w.Body)
		}
	}
	if _, err := NewWebhook([]byte("short"), func() {}); err == nil {
		t.Error("a short secret was taken")
	}
}
