package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/runner/enrol"
)

func (a *app) tokensCommand() *cobra.Command {
	var controller string
	c := &cobra.Command{
		Use:   "tokens",
		Short: "Make, list and revoke tokens that let people and pipelines use a controller",
		Long: "A role token lets its holder use the controller: a viewer reads, an operator also applies, cancels,\n" +
			"destroys and drains, an admin also decides about agents and tokens. It needs an admin's token itself.\n" +
			"The controller is -controller or NETP_CONTROLLER, the right to ask it NETP_TOKEN.",
	}
	c.PersistentFlags().StringVar(&controller, "controller", "", "`URL` of the controller")
	c.AddCommand(a.createTokenCommand(&controller), a.listTokensCommand(&controller), &cobra.Command{
		Use: "revoke NAME", Short: "End a role token at once", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.revokeAccess(c.Context(), controller, args[0])
		},
	})
	return c
}

func (a *app) createTokenCommand(controller *string) *cobra.Command {
	var role, name, life string
	c := &cobra.Command{
		Use: "create -role ROLE -name NAME", Short: "Make a role token and print it, once", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if role == "" || name == "" {
				return errors.New("a token needs a role and a name\nWrite, for example: netp tokens create -role viewer -name ci")
			}
			ask := enrol.AccessRequest{Name: name, Role: enrol.Role(role)}
			var err error
			if ask.Life, err = tokenLife(life); err != nil {
				return err
			}
			return a.grantAccess(c.Context(), *controller, ask)
		},
	}
	c.Flags().StringVar(&role, "role", "", "viewer, operator or admin (`role`)")
	c.Flags().StringVar(&name, "name", "", "`name` by which it is listed and revoked")
	c.Flags().StringVar(&life, "ttl", "90d", "how long it is good (`duration`), at most two years")
	return c
}

// tokenLife reads -ttl. To the controller no life means the one it gives by itself.
func tokenLife(text string) (time.Duration, error) {
	life, err := lang.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("-ttl=%s: %w", text, err)
	case life == 0:
		return 0, fmt.Errorf("-ttl=%s: a token has to be good for some time", text)
	}
	return life, nil
}

func (a *app) listTokensCommand(controller *string) *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use: "list", Short: "List the role tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.controller(*controller)
			if err != nil {
				return err
			}
			var list enrol.AccessList
			if err := r.Ask(c.Context(), http.MethodGet, "access", nil, &list); err != nil {
				return err
			}
			if json {
				return view.Document(a.env.stdout, list)
			}
			return a.out().Tokens(list.Tokens)
		},
	}
	c.Flags().BoolVar(&json, "json", false, "as JSON")
	return c
}

func (a *app) grantAccess(ctx context.Context, controller string, ask enrol.AccessRequest) error {
	r, err := a.controller(controller)
	if err != nil {
		return err
	}
	var got enrol.AccessAnswer
	if err := r.Ask(ctx, http.MethodPost, "access", ask, &got); err != nil {
		return err
	}
	a.out().Printf("%s\n", got.Token)
	a.err().Printf("Token %s of role %s is good until %s. It is shown this once; use it as NETP_TOKEN.\n",
		got.Name, got.Role, got.Expires.Local().Format(time.DateTime))
	return nil
}

func (a *app) revokeAccess(ctx context.Context, controller, name string) error {
	r, err := a.controller(controller)
	if err != nil {
		return err
	}
	if err := r.Ask(ctx, http.MethodDelete, "access/"+url.PathEscape(name), nil, nil); err != nil {
		return err
	}
	a.out().Printf("Token %s is good for nothing any more.\n", name)
	return nil
}
