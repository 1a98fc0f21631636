package lang

// blockSchema says what may stand in a block.
type blockSchema struct {
	labels []string        // what each label is
	args   map[string]bool // true when required
	blocks map[string]*blockSchema
	free   bool // any other argument, too
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
	validation := (&blockSchema{args: optional(), expressions: []string{"condition"}}).require("condition", "error_message")
	assertion := (&blockSchema{labels: name, args: optional("severity", "message", "confidence"),
		expressions: []string{"condition"}}).require("condition")
	return &blockSchema{blocks: map[string]*blockSchema{
		"suite": {labels: name, args: optional("description", "tags", "confidence", "family")},
		"variable": {labels: name, args: optional("type", "default", "description", "sensitive", "nullable"),
			blocks: map[string]*blockSchema{"validation": validation}, expressions: []string{"type"}},
		"locals": {free: true},
		"agent": {labels: name, args: optional("for_each", "name", "tags", "netns", "nat"), blocks: map[string]*blockSchema{
			"interface": {labels: name, args: optional("address", "device", "netns", "capacity")}}},
		"agents":  (&blockSchema{labels: name, args: optional("for_each"), expressions: []string{"where"}}).require("where"),
		"link":    {labels: name, args: optional("for_each", "capacity", "tags")},
		"path":    {labels: name, args: optional("for_each", "mesh", "from", "to", "both_directions", "except", "via", "links", "tags")},
		"profile": {labels: []string{"kind", "name"}, args: optional("for_each"), free: true},
		"test": (&blockSchema{labels: name, args: optional("for_each", "every", "cron", "time_zone", "slip", "tags"),
			blocks: map[string]*blockSchema{"assert": assertion}}).require("path", "profile"),
		"sink":   {labels: []string{"type", "name"}, args: optional("for_each"), free: true},
		"module": (&blockSchema{labels: name, args: optional("for_each"), free: true}).require("source"),
		"netp": {args: optional("required_version", "controller"), blocks: map[string]*blockSchema{
			"plugin": (&blockSchema{labels: name, args: optional("version")}).require("source")}},
	}}
}
