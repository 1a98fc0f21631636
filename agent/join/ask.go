package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/netpupper/netp/agent/wire"
)

// askTimeout bounds the question to one address.
const askTimeout = 10 * time.Second

// ask puts a question to the controller, at the first of its addresses that answers.
func ask(ctx context.Context, addresses []string, path string, config *tls.Config, e wire.Enrolment) (wire.Membership, error) {
	body, err := wire.Encode(e)
	if err != nil {
		return wire.Membership{}, err
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var tried []error
	for _, address := range addresses {
		has, err := askOne(ctx, client, "https://"+address+path, body)
		var refused *Refused
		if err == nil || errors.As(err, &refused) {
			return has, err
		}
		tried = append(tried, fmt.Errorf("controller %s: %w", address, err))
	}
	return wire.Membership{}, errors.Join(tried...)
}

func askOne(ctx context.Context, client *http.Client, url string, body []byte) (wire.Membership, error) {
	var has wire.Membership
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return has, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return has, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxEnrolment))
	if err != nil {
		return has, err
	}
	if response.StatusCode == http.StatusOK {
		return has, wire.Decode(data, &has)
	}
	var no wire.Refusal
	if wire.Decode(data, &no) != nil || no.Detail == "" {
		no.Detail = response.Status
	}
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		return has, errors.New(no.Detail) // its trouble, not its opinion
	}
	return has, &Refused{Reason: no.Detail}
}
