package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/hold"
)

// spool keeps on disk what must survive a restart of the agent: parts the store
// has not confirmed, one synced file each; the highest epoch; the day's usage;
// and the name of this installation.
type spool struct {
	dir          string
	lock         *os.File
	installation string
	logger       *slog.Logger
	wake         chan struct{} // something is due, or all is delivered

	notes  sync.Mutex // held while a file is written that is no part
	probed time.Time  // guarded by notes: when the disk last took a probe

	mu      sync.Mutex // guards what follows
	epoch   uint64
	pending map[string]*pending // by file name
}

// pending is a part on its way.
type pending struct {
	data []byte // only where the file could not be written
	due  time.Time
	wait time.Duration // until the try after the next
}

const (
	lockFileName     = "lock"
	epochFile        = "epoch"
	usageFile        = "usage"
	installationFile = "installation"
	partSuffix       = ".part"
	damagedSuffix    = ".damaged"
	// firstResend doubles up to lastResend while no confirmation comes.
	firstResend = 2 * time.Second
	lastResend  = 30 * time.Second
	// maxPending bounds the parts kept: beyond it the agent takes no new session.
	maxPending = 10_000
)

// openSpool opens the directory, makes it when missing, and takes it for this process.
func openSpool(dir string, logger *slog.Logger) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	lock, err := hold.Open(filepath.Join(dir, lockFileName))
	if errors.Is(err, hold.ErrHeld) {
		err = errors.New("another agent is running with it")
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	s := &spool{dir: dir, lock: lock, logger: logger, wake: make(chan struct{}, 1), pending: make(map[string]*pending)}
	if err := s.load(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	return s, nil
}

func (s *spool) close() { s.lock.Close() }

func (s *spool) load() error {
	id, err := s.read(installationFile)
	if err == nil && id == "" {
		id = uuid.NewString()
		err = s.write(installationFile, []byte(id))
	}
	if err != nil {
		return err
	}
	s.installation = id
	epoch, err := s.read(epochFile)
	if err == nil && epoch != "" {
		s.epoch, err = strconv.ParseUint(epoch, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	return s.loadParts()
}

// loadParts finds what an earlier start of the agent left undelivered.
func (s *spool) loadParts() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if durable.Leftover(name) {
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				return err
			}
			continue
		}
		if !strings.HasSuffix(name, partSuffix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err == nil {
			_, err = wire.DecodePart(data)
		}
		if err != nil {
			s.logger.Error("a spooled result is damaged and kept aside", "file", name, "error", err)
			if err := os.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, name+damagedSuffix)); err != nil {
				return err
			}
			continue
		}
		s.pending[name] = &pending{wait: firstResend}
	}
	return nil
}

// read gives the text of a file, "" when there is none.
func (s *spool) read(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// write replaces a file: after it returned the content is on the disk, whole.
func (s *spool) write(name string, data []byte) error {
	return durable.WriteFile(filepath.Join(s.dir, name), data, 0o600)
}

// ready says why no more results can be kept; nil when they can. The disk is asked, unless it took a probe within that time.
func (s *spool) ready(within time.Duration) error {
	s.mu.Lock()
	waiting := len(s.pending)
	s.mu.Unlock()
	if waiting >= maxPending {
		return fmt.Errorf("the spool %s holds %d that the controller has not taken", s.dir, waiting)
	}
	s.notes.Lock()
	defer s.notes.Unlock()
	if time.Since(s.probed) < within {
		return nil
	}
	if err := s.write("probe", probe[:]); err != nil {
		s.probed = time.Time{}
		return fmt.Errorf("the spool cannot be written: %w", err)
	}
	s.probed = time.Now()
	return nil
}

const (
	// probeSize is the room that must be there before a session: a usual part.
	probeSize = 1 << 16
	// withinStart spares the disk when many sessions start at once, withinRest when none does: each announcement says what is known.
	withinStart = time.Second
	withinRest  = time.Minute
)

// probe is what ready writes: zeros that nobody ever wrote, which take no memory.
var probe [probeSize]byte

// name is the file of a part.
func (s *spool) name(key wire.PartKey) string {
	text, err := json.Marshal(key)
	if err != nil {
		panic("agent: a part's key does not encode: " + err.Error()) // it is four plain fields
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]) + partSuffix
}

// put keeps a part and makes it due. A part that cannot be written is kept in
// memory and delivered all the same.
func (s *spool) put(key wire.PartKey, data []byte) {
	name := s.name(key)
	p := &pending{wait: firstResend}
	if err := s.write(name, data); err != nil {
		s.logger.Error("a result is not on disk until it is delivered", "session", key.Session, "error", err)
		p.data = data
	}
	s.mu.Lock()
	s.pending[name] = p
	s.mu.Unlock()
	s.signal()
}

// confirm forgets parts that the store has.
func (s *spool) confirm(keys []wire.PartKey) {
	for _, key := range keys {
		name := s.name(key)
		s.mu.Lock()
		_, ok := s.pending[name]
		delete(s.pending, name)
		s.mu.Unlock()
		if !ok {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.logger.Warn("a delivered result stays in the spool", "error", err)
		}
	}
	s.signal()
}

// keeps says whether a part of an attempt, of either end, waits here.
func (s *spool) keeps(run, session string, attempt int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range []netp.Role{netp.Initiator, netp.Responder} {
		if s.pending[s.name(wire.PartKey{Run: run, Session: session, Attempt: attempt, Part: role})] != nil {
			return true
		}
	}
	return false
}

// again makes everything due: the connection is new.
func (s *spool) again() {
	s.mu.Lock()
	for _, p := range s.pending {
		p.due, p.wait = time.Time{}, firstResend
	}
	s.mu.Unlock()
	s.signal()
}

func (s *spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // one is on its way
	}
}

// due lists the parts to send now, sets their next time, and says how long to
// wait after them.
func (s *spool) due(now time.Time) (names []string, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = lastResend
	for name, p := range s.pending {
		if !now.Before(p.due) {
			names = append(names, name)
			p.due, p.wait = now.Add(p.wait), min(2*p.wait, lastResend)
		}
		wait = min(wait, p.due.Sub(now))
	}
	return names, wait
}

// data reads a part that is due; nil when it was confirmed meanwhile.
func (s *spool) data(name string) ([]byte, error) {
	s.mu.Lock()
	p := s.pending[name]
	s.mu.Unlock()
	if p == nil || p.data != nil {
		return p.inMemory(), nil
	}
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (p *pending) inMemory() []byte {
	if p == nil {
		return nil
	}
	return p.data
}

// waitEmpty waits until everything is confirmed, or the time is over.
func (s *spool) waitEmpty(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		s.mu.Lock()
		left := len(s.pending)
		s.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			s.logger.Warn("results stay in the spool until the next start", "count", left)
			return
		case <-time.After(emptyPoll):
		}
	}
}

// emptyPoll is how often a stopping agent looks whether it is done.
const emptyPoll = 10 * time.Millisecond

// highestEpoch is the highest one ever seen.
func (s *spool) highestEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// raiseEpoch notes an epoch, on disk before it returns; an older one is an error.
func (s *spool) raiseEpoch(epoch uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case epoch < s.epoch:
		return fmt.Errorf("the controller is of epoch %d, but one of epoch %d has taken over", epoch, s.epoch)
	case epoch == s.epoch:
		return nil
	}
	if err := s.write(epochFile, []byte(strconv.FormatUint(epoch, 10))); err != nil {
		return fmt.Errorf("note the epoch: %w", err)
	}
	s.epoch = epoch
	return nil
}

// loadUsage reads what was sent today; an unreadable note counts as none.
func (s *spool) loadUsage() usage {
	var u usage
	text, err := s.read(usageFile)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &u)
	}
	if err != nil {
		s.logger.Warn("the day's usage is lost", "error", err)
	}
	return u
}

// saveUsage writes what was sent today.
func (s *spool) saveUsage(u usage) {
	if u.Day == "" {
		return // no budget, no count
	}
	s.notes.Lock()
	defer s.notes.Unlock()
	data, err := json.Marshal(u)
	if err == nil {
		err = s.write(usageFile, data)
	}
	if err != nil {
		s.logger.Warn("the day's usage is not on disk", "error", err)
	}
}
