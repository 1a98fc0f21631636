package agent

import (
	"slices"
	"testing"
	"time"
)

func TestRestCountsAnnouncementsWithoutWork(t *testing.T) {
	var told []int
	d := &daemon{orders: map[orderKey]*answer{}, sessions: map[sessionKey]*session{}}
	d.cfg.Rest = func(announcements int) { told = append(told, announcements) }
	for _, step := range []struct {
		name   string
		change func()
		told   []int
	}{
		{"at the start", func() {}, []int{1, 2}},
		{"with an order that is valid", func() { d.orders[orderKey{}] = &answer{until: time.Now().Add(time.Hour)} }, nil},
		{"with an order that is over", func() { d.orders[orderKey{}] = &answer{until: time.Now().Add(-time.Hour)} }, []int{1, 2}},
		{"with a session beyond its order", func() { d.orders, d.sessions[sessionKey{}] = nil, &session{} }, nil},
		{"after the session", func() { delete(d.sessions, sessionKey{}) }, []int{1, 2}},
	} {
		told = nil
		step.change()
		d.rest()
		d.rest()
		if !slices.Equal(told, step.told) {
			t.Errorf("%s Rest was told %v, want %v", step.name, told, step.told)
		}
	}
}
