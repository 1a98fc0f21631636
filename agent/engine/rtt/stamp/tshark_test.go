package stamp

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// capture writes a file of UDP packets in raw IPv4.
func capture(t *testing.T, payloads [][]byte, ports [][2]uint16) string {
	t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4)
	for _, v := range []uint32{0, 0, 65535, 101} { // zone, accuracy, length, raw IP
		b = le.AppendUint32(b, v)
	}
	for i, payload := range payloads {
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
		binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
		ip = binary.BigEndian.AppendUint16(ip, ports[i][0])
		ip = binary.BigEndian.AppendUint16(ip, ports[i][1])
		ip = binary.BigEndian.AppendUint16(ip, uint16(8+len(payload)))
		ip = append(append(ip, 0, 0), payload...)
		for _, v := range []uint32{1_800_000_000, uint32(i), uint32(len(ip)), uint32(len(ip))} {
			b = le.AppendUint32(b, v)
		}
		b = append(b, ip...)
	}
	file := filepath.Join(t.TempDir(), "stamp.pcap")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTsharkReadsUs has another implementation read what we write.
func TestTsharkReadsUs(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	c := Open()
	at := time.Date(2027, 1, 15, 8, 0, 0, 123_456_789, time.UTC)
	asked := Request{Sequence: 77, Time: NTP(at.UnixNano()), Estimate: NewEstimate(time.Millisecond, true, false)}
	request, reply := make([]byte, OpenSize), make([]byte, 200)
	c.PutRequest(request, asked)
	c.Pad(reply)
	c.PutReply(reply, Reply{
		Sequence: 66, Time: NTP(at.Add(2 * time.Second).UnixNano()), Received: NTP(at.Add(time.Second).UnixNano()),
		Estimate: asked.Estimate, Request: asked, TTL: 61,
	})
	file := capture(t, [][]byte{request, reply}, [][2]uint16{{50_000, Port}, {Port, 50_000}})
	fields := []string{"-r", file, "-d", "udp.port==862,twamp.test", "-T", "fields", "-E", "separator=;", "-e", "_ws.malformed",
		"-e", "twamp.test.seq_number", "-e", "twamp.test.timestamp", "-e", "twamp.test.error_estimate",
		"-e", "twamp.test.receive_timestamp", "-e", "twamp.test.sender_seq_number", "-e", "twamp.test.sender_timestamp", "-e", "twamp.test.sender_ttl"}
	cmd := exec.Command(tshark, fields...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		t.Fatalf("tshark gives %d lines:\n%s", len(lines), out)
	}
	for i, want := range [][]string{{"77", "08:00:00.123456789"}, {"66", "08:00:02.123456789", "08:00:01.123456789", "77", "08:00:00.123456789", "61"}} {
		if strings.HasPrefix(lines[i], "M") || !strings.HasPrefix(lines[i], ";") {
			t.Errorf("malformed: %s", lines[i])
		}
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("packet %d: tshark reads %s, want %s in it", i, lines[i], w)
			}
		}
	}
}
