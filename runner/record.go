package runner

import (
	"context"
	"maps"

	"github.com/netpupper/netp"
)

// terminal makes the record of a session that ended: the judgement falls here.
func (x *execution) terminal(o outcome) netp.Record {
	t := o.task
	judgements, status := Judge(t.test.Assertions, t.spec.Metrics(t.test.Params), o.result)
	return netp.Record{
		FormatVersion: netp.FormatVersion,
		ID:            x.report.Run + "/" + t.session.Addr,
		Run:           x.report.Run,
		Suite:         x.report.Suite,
		Revision:      x.report.Revision,
		PlanHash:      x.plan.Hash,
		Test:          t.test.Addr,
		Session:       t.session,
		Tags:          x.tags(t),
		Attempts:      o.attempts,
		Result:        o.result,
		Judgements:    judgements,
		Status:        status,
		Scheduled:     t.scheduled,
		Written:       x.cfg.Now(),
		Version:       x.cfg.Version,
	}
}

// tags of a record: the suite's, then the path's, then the test's; the later win.
func (x *execution) tags(t *task) map[string]string {
	tags := make(map[string]string)
	maps.Copy(tags, x.plan.Suite.Tags)
	maps.Copy(tags, t.session.Path.Tags)
	maps.Copy(tags, t.test.Tags)
	if len(tags) == 0 {
		return nil
	}
	return tags
}

// without is the result of a session that measured nothing.
func (x *execution) without(t *task, attempt int, f *netp.Failure) netp.Result {
	return netp.Result{
		Run: x.report.Run, Session: t.session.Addr, Attempt: attempt,
		Part: netp.Initiator, Agent: t.session.Path.Source, Failure: f,
	}
}

// entry is a record on its way to the store.
type entry struct {
	task   *task
	record netp.Record
}

// writtenBatch is what the recorder wrote, or could not.
type writtenBatch struct {
	entries []entry
	err     error
}

// maxBatch is how many records, or attempts, go into one commit.
const maxBatch = 64

// record writes records, as many at a time as are there, until the channel is
// closed. After an error it writes no more but says so for each.
func (x *execution) record(ctx context.Context) {
	var failed error
	for first := range x.records {
		batch := gather(first, x.records)
		if failed == nil {
			records := make([]netp.Record, len(batch))
			for i, e := range batch {
				records[i] = e.record
			}
			failed = x.cfg.Store.SaveRecords(ctx, records)
		}
		x.written <- writtenBatch{entries: batch, err: failed}
	}
}

// gather adds to the first of a batch what is there already.
func gather[T any](first T, more <-chan T) []T {
	batch := []T{first}
	for len(batch) < maxBatch {
		select {
		case next, ok := <-more:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}
