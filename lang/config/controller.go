package config

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/quantity"
)

// Controller is what a controller's file says.
type Controller struct {
	// Data is the directory for keys, state and history.
	Data string
	// HTTP and Bus are the addresses, HOST:PORT, of the API and the bus.
	HTTP, Bus string
	// Advertise are the hosts by which agents reach the controller.
	Advertise []string
	// Store is the address of a PostgreSQL database; "" for a file in Data.
	Store string
	// Retention is how long finished runs are kept; 0 for ever.
	Retention    time.Duration
	Repositories []Repository
	Directories  []Directory
	// WebhookSecretFile holds the secret of /api/webhook; "" means no webhook.
	WebhookSecretFile string
	Sinks             []lang.Sink
	Plugins           []lang.Plugin
}

// Repository is a git repository to follow.
type Repository struct {
	Name        string
	URL, Branch string
	// Path is the directory in the repository that holds the suites; "" for all of it.
	Path string
	// Interval is how often it is asked; 0 for the usual.
	Interval time.Duration
	// AllowedSigners and PGPKeys are the keys that may sign; none accepts unsigned commits.
	AllowedSigners, PGPKeys string
	SSHKey, KnownHosts      string
	TokenFile               string
	AllowRewrite            bool
	// Env is the environment of its suites: all that their env() finds.
	Env map[string]string
}

// Directory is a directory of the controller's host to follow.
type Directory struct {
	Name, Path string
	Interval   time.Duration
	Env        map[string]string
}

func controllerShape() lang.Shape {
	name := []string{"name"}
	return lang.Shape{
		Args: []string{"data", "http", "bus", "advertise", "store", "retention"},
		Blocks: map[string]lang.Shape{
			"repository": {Labels: name, Required: []string{"url"}, Args: []string{"branch", "path", "interval", "allowed_signers",
				"pgp_keys", "ssh_key", "known_hosts", "token_file", "allow_rewrite", "env"}},
			"directory": {Labels: name, Required: []string{"path"}, Args: []string{"interval", "env"}},
			"webhook":   {Required: []string{"secret_file"}},
			"sink":      {Labels: []string{"type", "name"}, Free: true},
			"plugin":    {Labels: name, Required: []string{"source"}, Args: []string{"version"}},
		},
	}
}

// ReadController reads a controller's file. What the file does not say is as in
// defaults. When there is an error among the diagnostics the value must not be used.
func ReadController(file string, defaults Controller, o Options) (Controller, diag.List) {
	return read(file, "a controller's file", controllerShape(), o, func(d *lang.Document) Controller {
		c := defaults
		text(d.Block, "data", &c.Data, d.Path)
		text(d.Block, "http", &c.HTTP, d.Text)
		text(d.Block, "bus", &c.Bus, d.Text)
		text(d.Block, "store", &c.Store, d.Text)
		if d.Has("advertise") {
			c.Advertise = d.Texts("advertise")
		}
		c.Retention = d.Duration("retention", c.Retention)
		checkHostPort(d.Block, "http")
		checkHostPort(d.Block, "bus")
		for _, b := range d.Named("repository") {
			c.Repositories = append(c.Repositories, repository(b, o))
		}
		for _, b := range d.Named("directory") {
			c.Directories = append(c.Directories, Directory{Name: b.Labels[0], Path: b.Path("path"),
				Interval: interval(b), Env: environment(b, o)})
		}
		checkSources(d, c)
		if b, ok := d.One("webhook"); ok {
			c.WebhookSecretFile = b.Path("secret_file")
		}
		c.Sinks = append(c.Sinks, sinks(d)...)
		for _, b := range d.Named("plugin") {
			c.Plugins = append(c.Plugins, b.Plugin())
		}
		return c
	})
}

func checkHostPort(b lang.Block, name string) {
	if !b.Has(name) {
		return
	}
	_, port, err := net.SplitHostPort(b.Text(name))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		b.Invalid(name, "The controller cannot listen on %q. Write [HOST]:PORT, as in :8640.", b.Text(name))
	}
}

func repository(b lang.Block, o Options) Repository {
	r := Repository{
		Name: b.Labels[0], URL: b.Text("url"), Branch: b.Text("branch"), Path: b.Text("path"), Interval: interval(b),
		AllowedSigners: b.Path("allowed_signers"), PGPKeys: b.Path("pgp_keys"),
		SSHKey: b.Path("ssh_key"), KnownHosts: b.Path("known_hosts"), TokenFile: b.Path("token_file"),
		AllowRewrite: b.Flag("allow_rewrite"), Env: environment(b, o),
	}
	if b.Has("ssh_key") != b.Has("known_hosts") {
		b.Missing("Repository %q has only one of ssh_key and known_hosts, and ssh needs both: no host is trusted on first sight.", r.Name)
	}
	return r
}

// shortestInterval keeps a slip of the pen from asking a server without a pause.
const shortestInterval = time.Second

func interval(b lang.Block) time.Duration {
	d := b.Duration("interval", 0)
	if b.Has("interval") && d < shortestInterval {
		b.Invalid("interval", "interval must be at least %s.", quantity.Duration(shortestInterval))
	}
	return d
}

// environment reads env: a list of names that are looked up now, or an object of
// names and values.
func environment(b lang.Block, o Options) map[string]string {
	if !b.IsList("env") {
		return b.Tags("env")
	}
	out := map[string]string{}
	for _, name := range b.Texts("env") {
		value, ok := "", false
		if o.Environ != nil {
			value, ok = o.Environ(name)
		}
		if !ok {
			b.Invalid("env", "The environment has no variable %s. Set it, or take it out of the list.", name)
		}
		out[name] = value
	}
	return out
}

// checkSources keeps names unique over repositories and directories: the name is
// that of the source's own directory and of its state.
func checkSources(d *lang.Document, c Controller) {
	seen := map[string]bool{}
	for _, r := range c.Repositories {
		seen[r.Name] = true
	}
	for _, b := range d.Named("directory") {
		if seen[b.Labels[0]] {
			b.Invalid("", "There is a repository %q, too, and sources have different names. Rename one of them.", b.Labels[0])
		}
	}
}

func sinks(d *lang.Document) []lang.Sink {
	var out []lang.Sink
	seen := map[string]bool{}
	for _, b := range d.Blocks("sink") {
		if len(b.Labels) != 2 {
			continue // reported
		}
		s := b.Sink()
		if seen[s.Addr] {
			b.Invalid("", "%s is declared twice. Rename one of them.", fmt.Sprintf("sink %q %q", b.Labels[0], b.Labels[1]))
			continue
		}
		seen[s.Addr] = true
		out = append(out, s)
	}
	return out
}
