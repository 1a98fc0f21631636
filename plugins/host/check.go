package host

import (
	"context"
	"errors"

	"github.com/netpupper/netp/plugins/sdk"
)

// Check finds the faults of a sink block at plan time: no plugin, a plugin that does
// not start or is not the one asked for, arguments that do not fit its schema, and
// what the plugin itself has to say about them. It runs the plugin for a moment;
// nothing is written and no receiver is asked.
func (h *Host) Check(ctx context.Context, s Sink) []sdk.Fault {
	i, err := h.start(ctx, s)
	if missing := (*NotFound)(nil); errors.As(err, &missing) {
		return []sdk.Fault{{Summary: "Plugin not found", Detail: missing.Error()}}
	}
	if err != nil {
		return []sdk.Fault{{Summary: "Plugin not usable", Detail: err.Error() + "."}}
	}
	defer i.stop()
	if _, faults := i.description.Schema.Fill(s.Arguments, s.Secrets); len(faults) > 0 {
		return faults
	}
	faults, err := i.configure(ctx, s, h.options)
	if err != nil {
		return []sdk.Fault{{Summary: "Plugin not usable", Detail: "The plugin could not check its arguments: " + err.Error() + "."}}
	}
	return faults
}
