//go:build !linux && !darwin

package clock

func readState() (State, error) { return State{Source: "unknown"}, ErrUnknown }

func hostID() string { return "" }
