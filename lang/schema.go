package lang

// blockSchema says what may stand in a block.
type blockSchema struct {
	labels []string        // what each label is
	args   map[string]bool // true when required
	blocks map[string]*blockSchema
	free   bool // any other argument, too
	many   bool // may stand several times side by side
	// expressions lists arguments that are expressions by nature, so that a JSON
	// string there is one: conditions and type constraints.
	expressions []string
}

func optional(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = false
	}
	return m
}

func (s *blockSchema) require(names ...string) *blockSchema {
	for _, n := range names {
		s.args[n] = true
	}
	return s
}

// rootSchema is the whole language: what may stand in a suite's file.
func rootSchema() *blockSchema {
	name := []string{"name"}
	validation := (&blockSchema{args: optional(), many: true, expressions: []string{"condition"}}).require("condition", "error_message")
	assertion := (&blockSchema{labels: name, args: optional("severity", "message", "confidence"), many: true,
		expressions: []string{"condition"}}).require("condition")
	return &blockSchema{blocks: map[string]*blockSchema{
		"suite": {labels: name, args: optional("description", "tags", "confidence", "family"), many: true},
		"variable": {labels: name, args: optional("type", "default", "description", "sensitive", "nullable"), many: true,
			blocks: map[string]*blockSchema{"validation": validation}, expressions: []string{"type"}},
		"locals": {free: true, many: true},
		"agent": {labels: name, args: optional("for_each", "name", "tags", "netns"), many: true, blocks: map[string]*blockSchema{
			"interface": {labels: name, args: optional("address", "device", "netns", "capacity"), many: true}}},
		"agents": (&blockSchema{labels: name, args: optional("for_each"), many: true, expressions: []string{"where"}}).require("where"),
		"link":   {labels: name, args: optional("for_each", "capacity", "tags"), many: true},
		"path": {labels: name, args: optional("for_each", "mesh", "from", "to", "both_directions", "except", "via", "links", "tags"),
			many: true},
		"profile": {labels: []string{"kind", "name"}, args: optional("for_each"), free: true, many: true},
		"test": (&blockSchema{labels: name, args: optional("for_each", "every", "cron", "time_zone", "slip", "tags"), many: true,
			blocks: map[string]*blockSchema{"assert": assertion}}).require("path", "profile"),
		"sink":   {labels: []string{"type", "name"}, args: optional("for_each"), free: true, many: true},
		"module": (&blockSchema{labels: name, args: optional("for_each"), free: true, many: true}).require("source"),
		"netp": {args: optional("required_version", "controller"), many: true, blocks: map[string]*blockSchema{
			"plugin": (&blockSchema{labels: name, args: optional("version"), many: true}).require("source")}},
	}}
}
