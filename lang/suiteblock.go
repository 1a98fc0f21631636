package lang

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const defaultConfidence = 0.95

// suiteBlocks decodes the suite and netp blocks, of which there is one each.
func (l *loader) suiteBlocks(root *scope, files []*source) {
	first := map[string]*hclsyntax.Block{}
	for _, f := range files {
		for _, b := range f.body.Blocks {
			if b.Type != "suite" && b.Type != "netp" {
				continue
			}
			if old := first[b.Type]; old != nil {
				l.fail(b.DefRange(), sumDuplicateBlock, "There is another %s block in %s, line %d. A suite has one.", b.Type, old.DefRange().Filename, old.DefRange().Start.Line)
				continue
			}
			first[b.Type] = b
		}
	}
	if b := first["suite"]; b != nil {
		l.suiteBlock(&arguments{root.env(), b.Body, b.DefRange()}, b)
	} else {
		l.suite.Name = l.directoryName()
		if !l.broken {
			l.warn(hcl.Range{}, sumNoSuite, "No file has a suite block, so the suite is called %q after its directory. Write: suite %q {}.", l.suite.Name, l.suite.Name)
		}
	}
	if b := first["netp"]; b != nil {
		l.netpBlock(root, &arguments{root.env(), b.Body, b.DefRange()})
	}
}

// directoryName is the name of a suite that declares none.
func (l *loader) directoryName() string {
	abs, err := filepath.Abs(l.suite.Dir)
	if err != nil {
		return "suite"
	}
	return filepath.Base(abs)
}

func (l *loader) suiteBlock(a *arguments, b *hclsyntax.Block) {
	s := l.suite
	if len(b.Labels) == 1 {
		if s.Name = b.Labels[0]; !isIdentifier(s.Name) || len(s.Name) > 100 {
			l.fail(b.LabelRanges[0], sumInvalidName, "%q is not a name. A name begins with a letter or _ and goes on with letters, digits, _ and -; at most 100 of them.", s.Name)
		}
	}
	s.Description, _ = a.text("description")
	s.Tags = a.tags("tags")
	if c, ok := a.confidence("confidence"); ok {
		s.Confidence = c
	}
	s.FamilyRun = a.oneOf("family", "assertion", "assertion", "run") == "run"
}

// confidence reads a confidence: more than an even chance, less than certainty.
func (a *arguments) confidence(name string) (float64, bool) {
	f, ok := a.number(name)
	if ok && (f <= 0.5 || f > 0.999999) {
		a.fail(name, sumOutOfRange, "%s must be more than 0.5 and at most 0.999999, as in 0.95 for 95 %%.", name)
		return 0, false
	}
	return f, ok
}

func (l *loader) netpBlock(root *scope, a *arguments) {
	set := &l.suite.Settings
	if v, ok := a.text("required_version"); ok {
		set.RequiredVersion = v
		l.checkVersion(a, v)
	}
	if c, ok := a.text("controller"); ok {
		set.Controller = c
		if u, err := url.Parse(c); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			a.fail("controller", sumInvalidValue, "%q is not the address of a controller. Write for example https://netp.example:8640.", c)
		} else if u.User != nil {
			a.fail("controller", sumSensitive, "The address of the controller must not hold a user or password.")
		}
	}
	for _, b := range l.blocks(root.env(), a.body, "plugin") {
		if len(b.labels) != 1 {
			continue
		}
		p := (&arguments{b.env, b.body, b.rng}).plugin(b.labels[0])
		if !isIdentifier(p.Name) {
			l.fail(b.rng, sumInvalidName, "%q is not the name of a plugin: letters, digits, _ and -.", p.Name)
		}
		if slices.ContainsFunc(set.Plugins, func(q Plugin) bool { return q.Name == p.Name }) {
			l.fail(b.rng, sumDuplicate, "The plugin %q is already named above.", p.Name)
			continue
		}
		set.Plugins = append(set.Plugins, p)
	}
}

// plugin decodes the arguments of a plugin block.
func (a *arguments) plugin(name string) Plugin {
	p := Plugin{Name: name}
	p.Source, _ = a.text("source")
	if p.Version, _ = a.text("version"); p.Version != "" {
		if _, err := version.NewConstraint(p.Version); err != nil {
			a.fail("version", sumInvalidValue, "%q is not a version constraint. Write for example \"~> 1.2\" or \">= 1.0, < 2.0\".", p.Version)
		}
	}
	return p
}

// checkVersion compares the running version with what the suite requires. A
// build without a number (a version that does not parse) satisfies all.
func (l *loader) checkVersion(a *arguments, required string) {
	constraint, err := version.NewConstraint(required)
	if err != nil {
		a.fail("required_version", sumInvalidValue, "%q is not a version constraint. Write for example \">= 0.1\" or \"~> 1.2\".", required)
		return
	}
	running, err := version.NewVersion(l.options.Version)
	if err == nil && !constraint.Check(running.Core()) {
		a.fail("required_version", sumUnsupported, "The suite requires netp %s, and this is netp %s. Install a version that satisfies it.", required, l.options.Version)
	}
}

// hash identifies what the suite was made of: every file that was read and every
// value that was given, secrets by their presence only.
func (l *loader) hash() string {
	h := sha256.New()
	enc := json.NewEncoder(h) // writes to a hash do not fail
	for _, name := range slices.Sorted(maps.Keys(l.reader.read)) {
		sum := sha256.Sum256(l.reader.read[name])
		_ = enc.Encode([]string{name, hex.EncodeToString(sum[:])})
	}
	root := l.scopes[0]
	for _, name := range slices.Sorted(maps.Keys(l.given)) {
		it := root.items["var."+name]
		if it.value.ContainsMarked() {
			_ = enc.Encode([]string{"var", name, "sensitive"})
			continue
		}
		_ = enc.Encode([]string{"var", name, it.value.GoString()})
	}
	return hex.EncodeToString(h.Sum(nil))
}
