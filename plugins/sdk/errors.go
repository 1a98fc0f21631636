package sdk

import (
	"context"
	"errors"
	"fmt"

	"github.com/netpupper/netp"
)

// Invalid is the error of Configure for an argument that cannot be used; detail is in
// full sentences and must not contain secrets.
func Invalid(attribute, format string, args ...any) error {
	return Fault{Attribute: attribute, Summary: "Invalid argument", Detail: fmt.Sprintf(format, args...)}
}

// Rejection is a record its receiver will never take.
type Rejection struct {
	ID     string `json:"id"` // of the record
	Reason string `json:"reason"`
}

// Rejected is returned by Write when the receiver took all records of the batch but
// these and never will take these: netp reports them and goes on. A receiver that is
// down, full or misconfigured rejects nothing: return a plain error and the records
// come again.
type Rejected struct{ Records []Rejection }

// Error names the first record.
func (r *Rejected) Error() string {
	if len(r.Records) == 0 {
		return "no record rejected"
	}
	return fmt.Sprintf("%d records rejected, the first is %s: %s", len(r.Records), r.Records[0].ID, r.Records[0].Reason)
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that lies in the records written, so that writing them
// again cannot help. Isolate looks for it.
func Permanent(err error) error { return permanent{err} }

// Isolate writes records as one batch and, when that fails with a Permanent error,
// halves until the records at fault are known. It returns nil, *Rejected with those,
// or the first error that is not permanent.
func Isolate(ctx context.Context, records []netp.Record, write func(context.Context, []netp.Record) error) error {
	var rejected []Rejection
	if err := isolate(ctx, records, write, &rejected); err != nil {
		return err
	}
	if len(rejected) > 0 {
		return &Rejected{rejected}
	}
	return nil
}

func isolate(ctx context.Context, records []netp.Record, write func(context.Context, []netp.Record) error, rejected *[]Rejection) error {
	err := write(ctx, records)
	if !errors.As(err, new(permanent)) {
		return err
	}
	if len(records) == 1 {
		*rejected = append(*rejected, Rejection{records[0].ID, err.Error()})
		return nil
	}
	half := len(records) / 2
	if err := isolate(ctx, records[:half], write, rejected); err != nil {
		return err
	}
	return isolate(ctx, records[half:], write, rejected)
}
