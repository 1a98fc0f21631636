package api

import (
	"context"
	"net/http"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/reconcile"
)

// SourceList is what the controller follows, by name.
type SourceList struct {
	FormatVersion string          `json:"format_version"`
	Sources       []gitops.Status `json:"sources"`
}

func (s *Server) sources() []gitops.Status {
	out := []gitops.Status{}
	if s.cfg.Sources != nil {
		out = append(out, s.cfg.Sources.Status()...)
	}
	return out
}

func (s *Server) listSources(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, SourceList{netp.FormatVersion, s.sources()})
}

func (s *Server) suspend(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source suspended", Sources.Suspend)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source resumed", Sources.Resume)
}

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source reconciled on demand", Sources.Reconcile)
}

// tellSource has a source do something and answers with how it is.
func (s *Server) tellSource(w http.ResponseWriter, r *http.Request, what string, do func(Sources, context.Context, string) error) error {
	name := r.PathValue("source")
	if s.cfg.Sources == nil {
		return reconcile.ErrNoSource
	}
	if err := do(s.cfg.Sources, context.WithoutCancel(r.Context()), name); err != nil {
		return err
	}
	s.cfg.Logger.Info(what, "source", name, "by", holder(r))
	for _, one := range s.cfg.Sources.Status() {
		if one.Name == name {
			return answer(w, http.StatusOK, one)
		}
	}
	return reconcile.ErrNoSource
}
