#!/bin/sh
# Makes (up) or removes (down) the three sites of mesh.hcl: network namespaces on
# one bridge, 100 Mbit/s each, 10 Mbit/s towards and from per.
set -eu

up() {
  ip netns add netp-wan
  ip -n netp-wan link add br0 type bridge
  ip -n netp-wan link set br0 up
  n=1
  for site in syd mel per; do
    rate=100mbit
    [ "$site" = per ] && rate=10mbit
    ip netns add "netp-$site"
    ip -n "netp-$site" link set lo up
    ip -n "netp-$site" link add wan type veth peer name "to-$site" netns netp-wan
    ip -n "netp-$site" addr add "10.99.0.$n/24" dev wan
    ip -n "netp-$site" link set wan up
    ip -n netp-wan link set "to-$site" master br0 up
    tc -n "netp-$site" qdisc add dev wan root tbf rate $rate burst 64kb latency 50ms
    tc -n netp-wan qdisc add dev "to-$site" root tbf rate $rate burst 64kb latency 50ms
    n=$((n + 1))
  done
}

down() {
  for name in syd mel per wan; do
    ip netns delete "netp-$name" 2>/dev/null || true
  done
}

case "${1:-}" in
  up) down; up ;;
  down) down ;;
  *) echo "usage: $0 up|down" >&2; exit 2 ;;
esac
