package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
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
			good, err := tokenLife(life)
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
	r, err := a.controller(controller)
	if err != nil {
		return err
	}
	var list struct {
		FormatVersion string         `json:"format_version"`
		Agents        []enrol.Listed `json:"agents"`
	}
	if err := r.Ask(ctx, http.MethodGet, "agents", nil, &list); err != nil {
		return err
	}
	if asJSON {
		return view.Document(a.env.stdout, list)
	}
	return a.out().Agents(list.Agents, a.env.now())
}

func (a *app) makeToken(ctx context.Context, controller string, ask enrol.TokenRequest) error {
	r, err := a.controller(controller)
	if err != nil {
		return err
	}
	var got enrol.TokenAnswer
	if err := r.Ask(ctx, http.MethodPost, "tokens", ask, &got); err != nil {
		return err
	}
	a.out().Printf("%s\n", joinLine(got.Token, ask.Name))
	return nil
}

// tellAgent does something to an agent and says what it is then.
func (a *app) tellAgent(ctx context.Context, controller, name, what, then string) error {
	r, err := a.controller(controller)
	if err != nil {
		return err
	}
	if err := r.Ask(ctx, http.MethodPost, "agents/"+url.PathEscape(name)+"/"+what, struct{}{}, nil); err != nil {
		return err
	}
	a.out().Printf("Agent %s %s.\n", name, then)
	return nil
}
