package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/runner/enrol"
)

func (a *app) agentsCommand() *cobra.Command {
	var controller string
	var json bool
	c := &cobra.Command{
		Use:   "agents",
		Short: "List the agents of a controller; make join tokens; drain, resume and revoke agents",
		Long: "List the agents that belong to a controller. The controller is -controller or NETP_CONTROLLER,\n" +
			"the right to ask it NETP_TOKEN: a token of netp tokens create, or the content of admin.token in\n" +
			"its data directory.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.listAgents(c.Context(), controller, json) },
	}
	c.Flags().BoolVar(&json, "json", false, "as JSON")
	c.PersistentFlags().StringVar(&controller, "controller", "", "`URL` of the controller")
	var name string
	var life string
	token := &cobra.Command{
		Use: "token", Short: "Make a join token for one agent", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			good, err := lang.ParseDuration(life)
			if err != nil {
				return err
			}
			return a.makeToken(c.Context(), controller, enrol.TokenRequest{Name: netp.AgentID(name), Life: good})
		},
	}
	token.Flags().StringVar(&name, "name", "", "the only `name` it is good for; default any that is free")
	token.Flags().StringVar(&life, "ttl", "15m", "how long it is good (`duration`), at most a week")
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Put an agent out, at once and for good", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.tellAgent(c.Context(), controller, args[0], "revoke", "is out: its connection is closed and its key never comes back")
		},
	}
	drain := &cobra.Command{
		Use: "drain NAME", Short: "Let an agent finish its sessions and give it no new ones, until it is resumed", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.tellAgent(c.Context(), controller, args[0], "drain", "is drained: it finishes its sessions and gets no new ones until netp agents resume "+args[0])
		},
	}
	resume := &cobra.Command{
		Use: "resume NAME", Short: "Give a drained agent sessions again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.tellAgent(c.Context(), controller, args[0], "resume", "gets sessions again")
		},
	}
	c.AddCommand(token, drain, resume, revoke)
	return c
}

func (a *app) listAgents(ctx context.Context, controller string, asJSON bool) error {
	r, err := a.remote(controller)
	if err != nil {
		return err
	}
	var list struct {
		FormatVersion string         `json:"format_version"`
		Agents        []enrol.Listed `json:"agents"`
	}
	if err := r.do(ctx, http.MethodGet, "/api/v1/agents", nil, &list); err != nil {
		return err
	}
	if asJSON {
		return view.Document(a.env.stdout, list)
	}
	return a.out().Agents(list.Agents, a.env.now())
}

func (a *app) makeToken(ctx context.Context, controller string, ask enrol.TokenRequest) error {
	r, err := a.remote(controller)
	if err != nil {
		return err
	}
	var got enrol.TokenAnswer
	if err := r.do(ctx, http.MethodPost, "/api/v1/tokens", ask, &got); err != nil {
		return err
	}
	a.out().Printf("%s\n", joinLine(got.Token, ask.Name))
	return nil
}

// tellAgent does something to an agent and says what it is then.
func (a *app) tellAgent(ctx context.Context, controller, name, what, then string) error {
	r, err := a.remote(controller)
	if err != nil {
		return err
	}
	if err := r.do(ctx, http.MethodPost, "/api/v1/agents/"+url.PathEscape(name)+"/"+what, struct{}{}, nil); err != nil {
		return err
	}
	a.out().Printf("Agent %s %s.\n", name, then)
	return nil
}

// remote is a controller as the commands speak to it: HTTPS to whoever has the key
// that the admin token pins.
type remote struct {
	base   string
	token  string
	client *http.Client
}

// remote finds the controller by the flag or the environment.
func (a *app) remote(flag string) (*remote, error) {
	base := flag
	if base == "" {
		base = a.env.get("NETP_CONTROLLER")
	}
	if base == "" {
		return nil, errors.New("which controller? Give -controller URL or set NETP_CONTROLLER, for example https://netp.example.net:8640")
	}
	if !strings.Contains(base, "://") {
		base = "https://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" {
		return nil, fmt.Errorf("the controller's address %q must have the form https://HOST:PORT", base)
	}
	word := strings.TrimSpace(a.env.get("NETP_TOKEN"))
	if word == "" {
		return nil, errors.New("NETP_TOKEN is not set: it holds the right to use the controller, a token of netp tokens create or the content of admin.token in its data directory")
	}
	token, err := wire.ParseAccessToken(word)
	if err != nil {
		return nil, fmt.Errorf("NETP_TOKEN: %w", err)
	}
	return &remote{
		base: strings.TrimSuffix(u.String(), "/"), token: word,
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: wire.PinnedTLS(token.Pin), ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		}},
	}, nil
}

// maxAnswer bounds what is read of an answer [B].
const maxAnswer = 64 << 20

// do asks the controller for one thing and reads the answer, unless into is nil.
func (r *remote) do(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the controller: %w", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var no wire.Refusal
		if json.Unmarshal(data, &no) != nil || no.Error == "" {
			no.Error = response.Status
		}
		return fmt.Errorf("the controller refuses: %s", no.Error)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	return nil
}
