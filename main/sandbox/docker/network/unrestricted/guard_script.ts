import { CLOSED_IPV4 } from "../../../../contract/egress.ts";

/**
 * An address range that only we route: its entry in `/proc/net/route` tells the container's main command that the guard
 * stands. Nothing without NET_ADMIN can make one, and a container that is started again has a new network without it.
 */
const MARK = "240.0.0.0/4";
/** The mark as the kernel prints it: destination, then gateway. */
const MARK_LINE = "000000F0 00000000";

/**
 * Where sockets go that a program bound to the network's interface. For those the kernel takes a refused look-up for "on
 * this link" and asks the link itself, where the engine's machine answers for all of its addresses: they need a route
 * that succeeds, to a neighbour that is not there.
 */
const NOWHERE = { table: 200, address: "192.0.2.1", lladdr: "02:00:00:00:00:01" };

/**
 * A classic packet filter for what leaves: drops Ethernet multicast and broadcast, but for ARP. Sockets with an address of
 * their own send those past all routes and rules, and services of the engine's machine listen to them.
 */
const NO_BROADCAST = "6,40 0 0 12,21 3 0 2054,48 0 0 0,69 0 1 1,6 0 0 2,6 0 0 0";

/** Loopback stays open inside the container; the mark's range is closed by its route. */
const CLOSED = CLOSED_IPV4.filter((range) => range !== "127.0.0.0/8" && range !== MARK);

/**
 * Run in the container's network namespace by a helper with NET_ADMIN. Arguments: further ranges to close, `--`,
 * resolvers that stay reachable on port 53. Rules come before routes, so they hold for addresses on the link too.
 * Ends with 0 and prints `guarded` only when every closed range is really refused.
 */
export const GUARD_SCRIPT = `
set -u
fail() { echo "$1" >&2; exit 1; }
command -v ip >/dev/null || fail "the image has no ip program (iproute2)"
ranges="${CLOSED.join(" ")}"
while [ $# -gt 0 ] && [ "$1" != -- ]; do ranges="$ranges $1"; shift; done
[ $# -gt 0 ] && shift
resolvers="$*"
# Resolvers of this network itself, and those that the engine's own one asks from inside this namespace.
while read -r word rest; do
  case "$word" in
    nameserver) resolvers="$resolvers $rest";;
    \\#) case "$rest" in ExtServers:*)
      list=\${rest#*[}; list=\${list%]*}
      for name in $list; do case "$name" in host*) ;; *) resolvers="$resolvers $name";; esac; done;; esac;;
  esac
done < /etc/resolv.conf
add() { said=$(ip "$@" 2>&1) || case "$said" in *"File exists"*) ;; *) fail "ip $*: $said";; esac; }
links=$(ip -o link | while read -r _ name _; do name=\${name%:}; echo "\${name%@*}"; done)
for link in $links; do
  [ "$link" = lo ] && continue
  add neigh replace ${NOWHERE.address} lladdr ${NOWHERE.lladdr} dev "$link" nud permanent
  add route replace default via ${NOWHERE.address} dev "$link" onlink table ${NOWHERE.table}
  for range in $ranges; do add rule add pref 190 to "$range" oif "$link" lookup ${NOWHERE.table}; done
  # A kernel without these parts lets a program send into the dark; whatever answers is refused.
  tc qdisc replace dev "$link" clsact && tc filter replace dev "$link" egress pref 1 handle 1 protocol all bpf \\
    bytecode '${NO_BROADCAST}' direct-action || echo "broadcasts stay open on $link" >&2
done
for range in $ranges; do add rule add pref 200 to "$range" prohibit; done
for resolver in $resolvers; do
  case "$resolver" in 127.*|*[!0-9.]*) continue;; esac
  for protocol in 17 6; do add rule add pref 100 to "$resolver/32" ipproto $protocol dport 53 lookup main; done
done
# No IPv6 but loopback: its local table is asked before this rule.
if [ -e /proc/net/if_inet6 ]; then add -6 rule add pref 200 prohibit; fi
# The rules hold, or nothing may run.
for range in $ranges; do
  address=\${range%/*}
  case "$address" in 0.0.0.0) address=0.1.2.3;; esac
  said=$(ip route get "$address" 2>&1) && fail "$address is still reachable: $said"
  case "$said" in *"ermission denied"*|*prohibit*|*nreachable*|*"nvalid argument"*) ;; *) fail "$address: $said";; esac
  for link in $links; do
    [ "$link" = lo ] && continue
    said=$(ip route get "$address" oif "$link" 2>&1)
    case "$said" in *" via ${NOWHERE.address} "*|"multicast "*) ;; *) fail "$address is reachable on $link: $said";; esac
  done
done
if [ -e /proc/net/if_inet6 ]; then ip -6 route get 2606:4700::1111 >/dev/null 2>&1 && fail "IPv6 is still reachable"; fi
add route add prohibit ${MARK}
echo guarded
`;

/** For `sh -c`, with the main command as arguments: waits for the mark, then becomes that command. */
export const WAIT_FOR_GUARD = `
until [ -n "\${guarded-}" ]; do
  while read -r _ destination gateway _; do
    [ "$destination $gateway" = "${MARK_LINE}" ] && guarded=1
  done < /proc/net/route
  [ -n "\${guarded-}" ] || sleep 0.05 2>/dev/null || sleep 1
done
unset guarded destination gateway
exec "$@"`;
