package sdk

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/netpupper/netp/suggest"
)

// Type is the type of an argument.
type Type string

// The types of arguments.
const (
	String Type = "string"
	Number Type = "number"
	Bool   Type = "bool"
	List   Type = "list" // of strings
	Map    Type = "map"  // of strings
)

// Attribute is one argument of a sink block.
type Attribute struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Required bool   `json:"required,omitempty"`
	// Sensitive values are shown nowhere: not in plans, logs, records or errors.
	Sensitive bool `json:"sensitive,omitempty"`
	// Default is the value of an argument left out: string, float64, bool, []string or
	// map[string]string as Type says; nil for none.
	Default any    `json:"default,omitempty"`
	Doc     string `json:"doc"`
}

// Schema lists the arguments of a sink block.
type Schema []Attribute

// Fault is a mistake in a sink block, written for the author of the suite.
type Fault struct {
	Attribute string `json:"attribute,omitempty"` // "" for the block as a whole
	Summary   string `json:"summary"`             // fixed, without names: "Unknown argument"
	Detail    string `json:"detail"`              // full sentences: what is wrong, how to mend it
}

// Error makes a Fault usable as an error.
func (f Fault) Error() string {
	if f.Attribute == "" {
		return f.Summary + ": " + f.Detail
	}
	return f.Summary + ": " + f.Attribute + ": " + f.Detail
}

const (
	maxAttributes = 100
	maxDoc        = 2000
)

// Check finds out whether the schema itself is sound.
func (s Schema) Check() error {
	if len(s) > maxAttributes {
		return fmt.Errorf("schema: %d attributes, more than %d", len(s), maxAttributes)
	}
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	seen := map[string]bool{}
	for _, a := range s {
		switch {
		case !name.MatchString(a.Name):
			return fmt.Errorf("schema: %q is no name for an attribute: it needs lower-case letters, digits and _", a.Name)
		case a.Name == "for_each":
			return fmt.Errorf("schema: the name for_each belongs to the language")
		case seen[a.Name]:
			return fmt.Errorf("schema: attribute %q is there twice", a.Name)
		case !slices.Contains([]Type{String, Number, Bool, List, Map}, a.Type):
			return fmt.Errorf("schema: attribute %q has the unknown type %q", a.Name, a.Type)
		case a.Required && a.Default != nil:
			return fmt.Errorf("schema: attribute %q is required and has a default", a.Name)
		case a.Doc == "" || len(a.Doc) > maxDoc:
			return fmt.Errorf("schema: attribute %q needs a description of at most %d bytes", a.Name, maxDoc)
		}
		if a.Default != nil {
			if _, err := a.convert(plain(a.Default)); err != nil {
				return fmt.Errorf("schema: default of attribute %q: %w", a.Name, err)
			}
		}
		seen[a.Name] = true
	}
	return nil
}

// plain gives a value the form it has after a trip through JSON.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(text, &out) != nil {
		return v
	}
	return out
}

// Fill checks the arguments of a block, a JSON object, against the schema and
// completes them: defaults and secrets are filled in, "5" becomes 5 where a number is
// wanted. Secrets are named by attribute ("token"), or by attribute and key or index
// for a value within a map or list ("headers.Authorization"). All faults are reported.
func (s Schema) Fill(arguments []byte, secrets map[string]string) (map[string]any, []Fault) {
	given, err := merge(arguments, secrets)
	if err != nil {
		return nil, []Fault{{Summary: "Invalid arguments", Detail: err.Error()}}
	}
	var faults []Fault
	out := map[string]any{}
	for _, a := range s {
		value := given[a.Name]
		if value == nil {
			value = plain(a.Default)
		}
		switch converted, err := a.convert(value); {
		case value == nil && a.Required:
			faults = append(faults, Fault{a.Name, "Missing argument", fmt.Sprintf("%s is required: %s", a.Name, a.Doc)})
		case value == nil:
		case err != nil:
			faults = append(faults, Fault{a.Name, "Invalid type", fmt.Sprintf("%s must be %s; %v.", a.Name, a.Type.words(), err)})
		default:
			out[a.Name] = converted
		}
	}
	return out, append(faults, s.unknown(given)...)
}

// merge puts the secrets in their places among the arguments.
func merge(arguments []byte, secrets map[string]string) (map[string]any, error) {
	given := map[string]any{}
	if len(arguments) > 0 {
		if err := json.Unmarshal(arguments, &given); err != nil {
			return nil, fmt.Errorf("the arguments are no JSON object: %w", err)
		}
	}
	for path, secret := range secrets {
		name, rest, inside := strings.Cut(path, ".")
		if !inside {
			given[name] = secret
			continue
		}
		switch v := given[name].(type) {
		case nil:
			given[name] = map[string]any{rest: secret}
		case map[string]any:
			v[rest] = secret
		case []any:
			i, err := strconv.Atoi(rest)
			if err != nil || i < 0 || i >= len(v) {
				return nil, fmt.Errorf("the list %s has no place for the secret %s", name, path)
			}
			v[i] = secret
		default:
			return nil, fmt.Errorf("%s is neither a list nor a map and has no place for the secret %s", name, path)
		}
	}
	return given, nil
}

// unknown reports arguments the schema does not have.
func (s Schema) unknown(given map[string]any) []Fault {
	var names []string
	for _, a := range s {
		names = append(names, a.Name)
	}
	var faults []Fault
	for name := range given {
		if slices.Contains(names, name) {
			continue
		}
		detail := fmt.Sprintf("This sink has no argument %q. It has: %s.", name, strings.Join(names, ", "))
		if best := suggest.Nearest(name, names); best != "" {
			detail = fmt.Sprintf("This sink has no argument %q. Did you mean %q?", name, best)
		}
		faults = append(faults, Fault{name, "Unknown argument", detail})
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Attribute, b.Attribute) })
	return faults
}

func (t Type) words() string {
	switch t {
	case Bool:
		return "true or false"
	case List:
		return "a list of strings"
	case Map:
		return "a map of strings"
	}
	return "a " + string(t)
}

// convert turns a JSON value into the attribute's type. Values of sensitive
// attributes are never in its errors.
func (a Attribute) convert(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch a.Type {
	case String:
		return text(v)
	case Number:
		return number(v)
	case Bool:
		return truth(v)
	case List:
		return texts(v)
	case Map:
		return textMap(v)
	}
	return nil, fmt.Errorf("the type %q is unknown", a.Type)
}

func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("this is %s", form(v))
}

func number(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f, nil
		}
	}
	return 0, fmt.Errorf("this is %s", form(v))
}

func truth(v any) (bool, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return false, fmt.Errorf("this is %s", form(v))
}

func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("this is %s", form(v))
	}
	out := make([]string, len(list))
	for i, item := range list {
		s, err := text(item)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = s
	}
	return out, nil
}

func textMap(v any) (map[string]string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("this is %s", form(v))
	}
	out := make(map[string]string, len(m))
	for key, item := range m {
		s, err := text(item)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		out[key] = s
	}
	return out, nil
}

// form names the form of a JSON value, never the value.
func form(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case float64:
		return "a number"
	case bool:
		return "a bool"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "nothing"
}

// NewConfig checks the arguments of a block and makes the Config for Configure.
func NewConfig(s Schema, arguments []byte, secrets map[string]string) (Config, []Fault) {
	filled, faults := s.Fill(arguments, secrets)
	if len(faults) > 0 {
		return Config{}, faults
	}
	values, err := json.Marshal(filled)
	if err != nil {
		return Config{}, []Fault{{Summary: "Invalid arguments", Detail: err.Error()}}
	}
	return Config{values: values}, nil
}

// Decode stores the arguments in the struct v points to, by its json tags.
func (c Config) Decode(v any) error {
	if err := json.Unmarshal(c.values, v); err != nil {
		return fmt.Errorf("decode the arguments of %s: %w", c.Name, err)
	}
	return nil
}
