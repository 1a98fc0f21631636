//go:build linux

package lab

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Hook is where in a node a rule sees packets.
type Hook int

// Hooks.
const (
	Input   Hook = iota // addressed to the node
	Output              // made by the node
	Forward             // passed on by the node
)

// Drop is a rule of nftables that drops packets. Its zero fields choose all.
type Drop struct {
	Hook                 Hook
	Protocol             int // of IP: 6 TCP, 17 UDP, 1 ICMP, 58 ICMP of IPv6
	Port                 int // destination
	MinLength, MaxLength int // of the IP packet
	// Every drops only each packet whose number among those chosen, from 0, leaves Phase modulo Every.
	Every, Phase int
	// Share drops only this share of them, at random, to a millionth.
	Share float64
}

// Rule is a rule that counts what it drops.
type Rule struct {
	node  *Node
	chain *nftables.Chain
	rule  *nftables.Rule
}

// rules numbers the chains: their names are unique in a process.
var rules atomic.Int64

// nft calls use with a connection to nftables in the namespace, and commits.
func (n *Node) nft(use func(*nftables.Conn)) error {
	conn, err := nftables.New(nftables.WithNetNSFd(n.fd))
	if err != nil {
		return fmt.Errorf("open nftables of %s: %w", n.Name, err)
	}
	use(conn)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables of %s: %w", n.Name, err)
	}
	return nil
}

// table is of both versions of IP.
var table = &nftables.Table{Family: nftables.TableFamilyINet, Name: "lab"}

// Drop makes the rule.
func (n *Node) Drop(d Drop) (*Rule, error) {
	hook := map[Hook]*nftables.ChainHook{Input: nftables.ChainHookInput, Output: nftables.ChainHookOutput, Forward: nftables.ChainHookForward}[d.Hook]
	r := &Rule{node: n, chain: &nftables.Chain{
		Name: fmt.Sprintf("drop%d", rules.Add(1)), Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter,
	}}
	return r, n.nft(func(c *nftables.Conn) {
		c.AddTable(table)
		c.AddChain(r.chain)
		r.rule = c.AddRule(&nftables.Rule{Table: table, Chain: r.chain, Exprs: d.expressions()})
	})
}

// Dropped is how many packets the rule has dropped.
func (r *Rule) Dropped() (uint64, error) {
	var all []*nftables.Rule
	var failed error
	err := r.node.nft(func(c *nftables.Conn) { all, failed = c.GetRules(table, r.chain) })
	if err != nil || failed != nil {
		return 0, fmt.Errorf("read the rules of %s: %w", r.node.Name, failed)
	}
	for _, one := range all {
		for _, e := range one.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				return counter.Packets, nil
			}
		}
	}
	return 0, fmt.Errorf("rule %s of %s has no counter", r.chain.Name, r.node.Name)
}

// Remove takes the rule away.
func (r *Rule) Remove() error {
	return r.node.nft(func(c *nftables.Conn) {
		c.FlushChain(r.chain)
		c.DelChain(r.chain)
	})
}

func (d Drop) expressions() []expr.Any {
	return append(d.choice(), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// choice chooses the packets.
func (d Drop) choice() []expr.Any {
	var out []expr.Any
	compare := func(op expr.CmpOp, data []byte) { out = append(out, &expr.Cmp{Op: op, Register: 1, Data: data}) }
	length := func(op expr.CmpOp, n int) {
		out = append(out, &expr.Meta{Key: expr.MetaKeyLEN, Register: 1}, bigEndian())
		compare(op, binary.BigEndian.AppendUint32(nil, uint32(n)))
	}
	if d.Protocol != 0 {
		out = append(out, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1})
		compare(expr.CmpOpEq, []byte{byte(d.Protocol)})
	}
	if d.Port != 0 {
		out = append(out, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
		compare(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, uint16(d.Port)))
	}
	if d.MinLength != 0 {
		length(expr.CmpOpGte, d.MinLength)
	}
	if d.MaxLength != 0 {
		length(expr.CmpOpLte, d.MaxLength)
	}
	if d.Every != 0 {
		out = append(out, &expr.Numgen{Register: 1, Modulus: uint32(d.Every), Type: unix.NFT_NG_INCREMENTAL})
		compare(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(uint32(d.Phase)))
	}
	if d.Share != 0 {
		const million = 1_000_000
		out = append(out, &expr.Numgen{Register: 1, Modulus: million, Type: unix.NFT_NG_RANDOM}, bigEndian())
		compare(expr.CmpOpLt, binary.BigEndian.AppendUint32(nil, uint32(d.Share*million)))
	}
	return out
}

// bigEndian turns the four bytes of a register: an order compares them so.
func bigEndian() expr.Any {
	return &expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4}
}

// redirect turns what programs in the node send to a port of any host to the same port of the node itself.
func (n *Node) redirect(protocol, port int) error {
	chain := &nftables.Chain{
		Name: fmt.Sprintf("redirect%d", rules.Add(1)), Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	}
	return n.nft(func(c *nftables.Conn) {
		c.AddTable(table)
		c.AddChain(chain)
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(Drop{Protocol: protocol, Port: port}.choice(), &expr.Redir{})})
	})
}

// Masquerade translates what the node sends through a device by IPv4 to the device's own address (NAT). What was not asked for from
// inside does not come in.
func (n *Node) Masquerade(device string) error {
	chain := &nftables.Chain{
		Name: fmt.Sprintf("masquerade%d", rules.Add(1)), Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return n.nft(func(c *nftables.Conn) {
		c.AddTable(table)
		c.AddChain(chain)
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}, &expr.Masq{},
		}})
	})
}
