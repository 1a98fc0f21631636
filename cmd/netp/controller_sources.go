package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/reconcile"
)

// following are the flags of netp controller for one repository and one directory;
// more of them are in the controller's file.
type following struct {
	repo     config.Repository
	dir      string
	interval time.Duration
	env      []string
}

func (f *following) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.repo.URL, "repo", "", "follow this git repository: `URL` https://, ssh:// or file:///, or user@host:path")
	flags.StringVar(&f.repo.Branch, "branch", "main", "the repository's `branch`")
	flags.StringVar(&f.repo.Path, "repo-path", "", "the `directory` of the repository that holds the suites; default all of it")
	flags.StringVar(&f.repo.AllowedSigners, "allowed-signers", "", "take only commits signed by a key of this allowed-signers `file` (SSH)")
	flags.StringVar(&f.repo.PGPKeys, "pgp-keys", "", "take only commits signed by a key of this `directory` of *.asc files (PGP)")
	flags.StringVar(&f.repo.SSHKey, "ssh-key", "", "private key `file` for the repository")
	flags.StringVar(&f.repo.KnownHosts, "known-hosts", "", "known_hosts `file` with the key of the repository's host")
	flags.StringVar(&f.repo.TokenFile, "git-token-file", "", "`file` with the token for an https repository")
	flags.BoolVar(&f.repo.AllowRewrite, "allow-rewrite", false, "take a branch whose history was rewritten")
	flags.StringVar(&f.dir, "dir", "", "follow the suites in this `directory` of this host")
	flags.DurationVar(&f.interval, "interval", 30*time.Second, "how often to look at the repository and the directory")
	flags.StringSliceVar(&f.env, "suite-env", nil, "`names` of environment variables that env() of followed suites may read; default none")
}

// check refuses flags that would do nothing: who gives keys believes that commits are verified.
func (f *following) check() error {
	r := f.repo
	for _, given := range []struct{ flag, value string }{
		{"allowed-signers", r.AllowedSigners}, {"pgp-keys", r.PGPKeys}, {"ssh-key", r.SSHKey}, {"known-hosts", r.KnownHosts},
		{"git-token-file", r.TokenFile}, {"repo-path", r.Path},
	} {
		if r.URL == "" && given.value != "" {
			return fmt.Errorf("-%s is about the repository of -repo, and there is no -repo\nRepositories of the controller's file have it there.", given.flag)
		}
	}
	return nil
}

// add puts what the flags name beside what the controller's file follows.
func (f *following) add(to *config.Controller, lookup func(string) (string, bool)) error {
	if err := f.check(); err != nil {
		return err
	}
	env := map[string]string{}
	for _, name := range f.env {
		value, ok := lookup(name)
		if !ok {
			return fmt.Errorf("-suite-env names %s, which is not set in the environment; set it, or leave it out", name)
		}
		env[name] = value
	}
	if f.repo.URL != "" {
		r := f.repo
		r.Name, r.Interval, r.Env = sourceName(r.URL), f.interval, env
		to.Repositories = append(to.Repositories, r)
	}
	if f.dir != "" {
		whole, err := filepath.Abs(f.dir)
		if err != nil {
			return fmt.Errorf("-dir: %w", err)
		}
		to.Directories = append(to.Directories, config.Directory{Name: sourceName(filepath.ToSlash(whole)), Path: whole, Interval: f.interval, Env: env})
	}
	return nil
}

var oddName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// sourceName is the last part of where a source is: wan of ssh://git@host/ops/wan.git.
func sourceName(where string) string {
	if u, err := url.Parse(where); err == nil && u.Path != "" {
		where = u.Path
	}
	name := strings.TrimSuffix(path.Base(strings.TrimRight(where, "/")), ".git")
	if _, after, scp := strings.Cut(name, ":"); scp {
		name = after
	}
	name = strings.Trim(oddName.ReplaceAllString(name, "-"), "-.")
	if name == "" {
		return "source"
	}
	return name
}

// sources opens what the controller follows. Each source has a directory of its
// own below DATA/sources.
func (a *app) sources(ctx context.Context, s config.Controller) ([]reconcile.Source, error) {
	var out []reconcile.Source
	add := func(name string, interval time.Duration, env map[string]string, source gitops.Source, err error) error {
		if err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
		out = append(out, reconcile.Source{Name: name, Source: source, Interval: interval, Compile: gitops.CompileOptions{
			Lang: lang.Options{Catalogue: a.catalogue, Version: version}, Environment: env,
		}})
		return nil
	}
	base := filepath.Join(s.Data, "sources")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, err
	}
	for _, r := range s.Repositories {
		source, err := gitops.OpenRepository(ctx, gitops.RepositoryOptions{
			URL: r.URL, Branch: r.Branch, Path: r.Path, Dir: filepath.Join(base, r.Name),
			Keys:         gitops.Keys{AllowedSigners: r.AllowedSigners, PGP: r.PGPKeys},
			AllowRewrite: r.AllowRewrite, Identity: r.SSHKey, KnownHosts: r.KnownHosts, TokenFile: r.TokenFile,
		})
		if err := add(r.Name, r.Interval, r.Env, source, err); err != nil {
			return nil, err
		}
	}
	for _, d := range s.Directories {
		source, err := gitops.OpenDirectory(gitops.DirectoryOptions{Watched: d.Path, Dir: filepath.Join(base, d.Name)})
		if err := add(d.Name, d.Interval, d.Env, source, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// webhook is the handler that makes the sources look; nil without a secret.
func webhook(file string, trigger func()) (*gitops.Webhook, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return nil, errors.New("the webhook's secret is empty: " + file)
	}
	return gitops.NewWebhook([]byte(secret), trigger)
}
