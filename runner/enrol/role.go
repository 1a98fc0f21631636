package enrol

// Role is what somebody may do at the controller; each may also do what those
// before it may.
type Role string

// The roles. Viewer reads, Operator also applies, cancels, destroys and drains,
// Admin also decides about agents and tokens.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// May reports whether the role suffices where least is needed. An unknown role
// never does.
func (r Role) May(least Role) bool { return r.rank() >= least.rank() && r.rank() > 0 }
