package hold

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// Holder is who holds a file, as it has left word in it.
type Holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Held is the error for a file that another process has claimed; it is an ErrHeld. By is zero where the file does not say.
type Held struct{ By Holder }

func (h *Held) Error() string { return ErrHeld.Error() }

// Is makes it an ErrHeld.
func (h *Held) Is(target error) bool { return target == ErrHeld }

const (
	// tries and pause bound how long Claim bears with those who only ask: they have the file for microseconds.
	tries = 10
	pause = 5 * time.Millisecond
	// wordAt is where the word begins: the byte before it is what Windows locks, and keeps others from reading.
	wordAt  = 1
	maxWord = 1024
)

// Claim is Open for a file that others may look at: it leaves word of this process in it, and when that began. The error is a
// *Held when another process has it.
func Claim(path string, since time.Time) (*os.File, error) {
	for try := 1; ; try++ {
		file, err := open(path, 0o666)
		if err == nil {
			leaveWord(file, since)
			return file, nil
		}
		if !errors.Is(err, ErrHeld) {
			return nil, err
		}
		by, held, err := HolderOf(path)
		if held || err != nil || try == tries {
			return nil, &Held{by}
		}
		time.Sleep(pause)
	}
}

// HolderOf says whether a file is claimed, and by whom, as far as it tells. It keeps nobody from claiming it.
func HolderOf(path string) (by Holder, held bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return by, false, err
	}
	defer file.Close() // only read from
	err = share(file)
	if !errors.Is(err, ErrHeld) {
		return by, false, err
	}
	_ = json.NewDecoder(io.NewSectionReader(file, wordAt, maxWord)).Decode(&by) // it may be about to be written
	return by, true, nil
}

// leaveWord writes who holds the file. The lock holds without it, too.
func leaveWord(file *os.File, since time.Time) {
	word, err := json.Marshal(Holder{os.Getpid(), since})
	if err == nil && file.Truncate(0) == nil {
		_, _ = file.WriteAt(slices.Concat([]byte("\n"), word, []byte("\n")), 0)
	}
}
