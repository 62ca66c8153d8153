/* What goes wrong with Direct Server Return: one list, from which the probes' verdicts, both doctors and
 * docs/troubleshooting.md speak. Pure.
 *
 * A line of the list: name, who finds it, what people see, why, how to check, what mends it in words, and the command that
 * does, "" where none does. A word in braces in a command stands for what is meant there: cause_command() fills it in. */
#ifndef HP_CORE_CAUSES_H
#define HP_CORE_CAUSES_H

#include <stddef.h>

#define CAUSE_BACKEND 1u  /* halfproxy-backend doctor */
#define CAUSE_DIRECTOR 2u /* halfproxy doctor */
#define CAUSE_PROBE 4u	  /* the verdict of a probe */
#define CAUSE_CHECK 8u	  /* halfproxy check */

/* clang-format off */
#define CAUSES(X) \
	X(VIP_MISSING, CAUSE_BACKEND | CAUSE_DIRECTOR | CAUSE_PROBE, \
	  "connections to the VIP time out, while the backend's own address works; IpInAddrErrors rises there", \
	  "the backend does not have the VIP as an address", \
	  "`ip address show dev lo` on the backend", \
	  "put the VIP on lo", \
	  "halfproxy-backend up{up}") \
	X(VIP_PREFIX, CAUSE_BACKEND, \
	  "the backend cannot reach its neighbours any more", \
	  "the VIP is on lo with a prefix length other than /32 or /128, so that the host takes the whole subnet " \
	  "for itself", \
	  "`ip route get PEER` says local", \
	  "take it off, and put it on as /32 or /128", \
	  "ip address del {vip}/{bits} dev {if} && halfproxy-backend up{up}") \
	X(VIP_ON_NETWORK, CAUSE_BACKEND, \
	  "one backend gets all packets past the director, or another machine reports a duplicate address", \
	  "the backend has the VIP on an interface to the network, where it answers ARP or neighbour solicitations " \
	  "for it", \
	  "`ip address show to VIP` on the backend", \
	  "take it off the interface; it belongs on lo", \
	  "ip address del {vip}/{bits} dev {if}") \
	X(VIP_TENTATIVE, CAUSE_BACKEND, \
	  "packets for an IPv6 VIP are not accepted", \
	  "duplicate address detection has refused the address (dadfailed), or has not ended (tentative)", \
	  "`ip -6 address show to VIP` says dadfailed or tentative", \
	  "put it on lo without duplicate address detection", \
	  "ip address del {vip}/{bits} dev {if} && halfproxy-backend up{up}") \
	X(LO_DOWN, CAUSE_BACKEND, \
	  "packets for the VIP are not accepted", \
	  "lo is down", \
	  "`ip link show dev lo` on the backend", \
	  "bring it up", \
	  "halfproxy-backend up{up}") \
	X(FORWARD_LOOP, CAUSE_BACKEND, \
	  "the director's packet rate explodes; LOOPED grows in `halfproxy status`", \
	  "the backend lacks the VIP and forwards (ip_forward=1), so that it sends packets for the VIP back towards " \
	  "the director", \
	  "`sysctl net.ipv4.ip_forward` on the backend, with the VIP missing", \
	  "put the VIP on lo", \
	  "halfproxy-backend up{up}") \
	X(INTERFACE_DOWN, CAUSE_BACKEND | CAUSE_DIRECTOR, \
	  "nothing arrives", \
	  "the interface by which packets arrive is down or gone", \
	  "`ip link show dev IF`", \
	  "bring it up", \
	  "ip link set dev {if} up") \
	X(IPV6_OFF, CAUSE_BACKEND, \
	  "packets for an IPv6 VIP are not accepted", \
	  "IPv6 is switched off on lo or where packets arrive", \
	  "`sysctl net.ipv6.conf.IF.disable_ipv6`", \
	  "switch it on, which gives the interface addresses", \
	  "sysctl -w net/ipv6/conf/{if}/disable_ipv6=0 && halfproxy-backend up{up}") \
	X(ARP_IGNORE, CAUSE_BACKEND, \
	  "one backend gets all packets past the director", \
	  "the backend answers ARP for the VIP: max(all, interface) of arp_ignore counts, and setting it on lo does " \
	  "nothing", \
	  "`sysctl -a` on the backend, for arp_ignore", \
	  "silence it: arp_ignore=1 on `all` or on the interface", \
	  "halfproxy-backend up{up}") \
	X(ARP_ANNOUNCE, CAUSE_BACKEND, \
	  "all is well, and minutes later one backend gets all packets past the director", \
	  "the backend's own ARP requests name the VIP as their sender, and the router learns it from them: " \
	  "arp_announce is not 2", \
	  "the router's neighbour table has the backend's MAC address for the VIP", \
	  "arp_announce=2 on `all`, and flush the router's entry", \
	  "halfproxy-backend up{up}") \
	X(ARP_ANSWERED, CAUSE_DIRECTOR, \
	  "traffic bypasses the director, one backend is hot, \"duplicate IP address\"", \
	  "another machine answers ARP or neighbour solicitations for the VIP: a backend, or a director that was active before " \
	  "and did not learn that another one is now, as its keepalived was killed", \
	  "a request with sender 0.0.0.0 (or a solicitation from ::) is answered by somebody else's MAC address", \
	  "on the machine that answers: `halfproxy-backend doctor --fix`, or take the VIP off it; on a director: start " \
	  "keepalived again, or `halfproxy standby`", \
	  "") \
	X(ND_PROXY, CAUSE_BACKEND, \
	  "one backend gets all packets of an IPv6 VIP past the director", \
	  "a proxy entry makes the backend answer neighbour solicitations for the VIP", \
	  "`ip -6 neigh show proxy` on the backend", \
	  "take the entry off", \
	  "ip -6 neigh del proxy {vip} dev {if}") \
	X(RP_FILTER, CAUSE_BACKEND | CAUSE_DIRECTOR, \
	  "a SYN arrives and no SYN-ACK leaves, or the director's probes time out while clients are fine", \
	  "reverse path filtering, with two interfaces or a tunnel: max(all, interface) of rp_filter is 1 (strict), or " \
	  "2 (loose) on an interface without an IPv4 address, where that drops as well", \
	  "TcpExtIPReversePathFilter rises in `nstat -a`", \
	  "make it loose (2), or 0 on an interface without an address; the larger value counts", \
	  "sysctl -w net/ipv4/conf/{if}/rp_filter={value}") \
	X(NOT_DECAPSULATED, CAUSE_BACKEND | CAUSE_PROBE, \
	  "connections to the VIP time out, while the backend's own address works; with ipip, ICMP protocol " \
	  "unreachable", \
	  "nothing on the backend opens the tunnels of this method, or not for this VIP", \
	  "`halfproxy-backend status`, decapsulation", \
	  "open the tunnels there, for the address that the director sends from", \
	  "halfproxy-backend up{up}") \
	X(CHANCE_BLIND, CAUSE_BACKEND, \
	  "connections break on a backend of gue whose VIP is in a container", \
	  "the second chance looks for sockets in the interface's network namespace, and the VIP's are in another", \
	  "`halfproxy-backend status`, second chance", \
	  "run halfproxy-backend in there, or switch the second chance off", \
	  "halfproxy-backend up --second-chance off") \
	X(SENDER_REFUSED, CAUSE_BACKEND, \
	  "tunnelled packets arrive and are refused", \
	  "they come from a sender that --from did not name", \
	  "`halfproxy-backend status`, sender", \
	  "name it if it is a director of yours: `halfproxy-backend up --vip VIP --forward METHOD --from DIRECTOR`", \
	  "") \
	X(NOT_LISTENING, CAUSE_BACKEND | CAUSE_PROBE, \
	  "connection refused", \
	  "nothing listens on the VIP's port, on the VIP or on the wildcard address", \
	  "`ss -ltnu` on the backend; a RST comes from the VIP", \
	  "start the service, and have it listen on the VIP or on all addresses", \
	  "") \
	X(OWN_ADDRESS_ONLY, CAUSE_BACKEND | CAUSE_PROBE, \
	  "connection refused, while a check of the backend's own address is green", \
	  "the service listens on the backend's own address only", \
	  "`ss -ltnu` on the backend", \
	  "have the service listen on the VIP or on all addresses", \
	  "") \
	X(MAP_UNSERVED, CAUSE_BACKEND, \
	  "connection refused on a mapped port", \
	  "nothing listens on the server's port of a map (--map), on the VIP or on the wildcard address", \
	  "`ss -ltnu` on the backend", \
	  "start the server, and have it listen on the VIP or on all addresses", \
	  "") \
	X(MAP_BROKEN, CAUSE_BACKEND, \
	  "connection refused on a mapped port, while its server listens, or UDP clients drop answers from its port", \
	  "the programs that find the servers of mapped ports, or their maps, are not those that were set up", \
	  "`halfproxy-backend status`, map", \
	  "attach and fill them", \
	  "halfproxy-backend up{up}") \
	X(WRONG_SOURCE, CAUSE_BACKEND | CAUSE_PROBE, \
	  "UDP requests arrive, and clients time out", \
	  "a UDP socket on the wildcard address answers from the backend's own address", \
	  "the source of the answers in `tcpdump -n udp` on the backend", \
	  "bind the service to the VIP, or have it use IP_PKTINFO", \
	  "") \
	X(ANSWERS_LOST, CAUSE_PROBE, \
	  "requests arrive at the backend, and clients time out", \
	  "the backend answers, and the answers are lost on their way: a packet filter, a route, or a check of " \
	  "source addresses", \
	  "`tcpdump -n src VIP` on the backend and at each hop after it", \
	  "let packets from the VIP pass there", \
	  "") \
	X(NO_ROUTE_BACK, CAUSE_BACKEND, \
	  "requests arrive at the backend, and clients time out", \
	  "the backend has no route for its answers", \
	  "`ip route get CLIENT` on the backend", \
	  "give it a default route", \
	  "") \
	X(HALF_OPEN_DROPPED, CAUSE_BACKEND | CAUSE_DIRECTOR, \
	  "SYN-ACKs or later packets vanish at a firewall", \
	  "a stateful rule drops what connection tracking calls invalid, and it sees one direction of the " \
	  "conversation only", \
	  "`nft list ruleset`, and the invalid counter of `conntrack -S`", \
	  "let packets of the VIP pass before that rule", \
	  "{command}") \
	X(MARK_OVERWRITTEN, CAUSE_DIRECTOR, \
	  "probes do not reach their backend, or fail one and all", \
	  "a rule of a packet filter sets marks, and overwrites the mark that leads a probe to its backend", \
	  "`nft list ruleset`, for `meta mark set` in output chains", \
	  "let marked packets pass before that rule", \
	  "{command}") \
	X(RULE_BEFORE, CAUSE_DIRECTOR, \
	  "probes do not reach their backend, or fail one and all", \
	  "a routing rule before ours takes marked packets to another table", \
	  "`ip rule`", \
	  "give it a place behind ours", \
	  "") \
	X(VIP_LOCAL, CAUSE_DIRECTOR | CAUSE_PROBE, \
	  "the director's probes of the VIP are refused or martian, and it cannot resolve its backends", \
	  "the VIP is an address of the director", \
	  "`ip route get VIP` on the director says local", \
	  "take it off: the director answers ARP and ping for it without", \
	  "ip address del {vip}/{bits} dev {if}") \
	X(NEXT_HOP_UNRESOLVED, CAUSE_DIRECTOR | CAUSE_PROBE, \
	  "a backend is not `ready`", \
	  "the backend, or the router in front of it, does not answer ARP or neighbour solicitations", \
	  "`ip neigh` on the director", \
	  "start the machine, or mend the route to it", \
	  "") \
	X(NO_WAY, CAUSE_DIRECTOR | CAUSE_PROBE, \
	  "a backend is not `ready`, or a router answers that it is unreachable", \
	  "there is no route to the backend", \
	  "`ip route get BACKEND` on the director; who sent the ICMP error", \
	  "mend the route", \
	  "") \
	X(NOT_ON_SEGMENT, CAUSE_DIRECTOR, \
	  "a backend of l2 is not `ready`", \
	  "l2 sends the client's own packet to the backend's MAC address, and a router in between would send it straight back", \
	  "`halfproxy status`; `ip route get BACKEND` on the director names a gateway", \
	  "take `forward: ipip` or `gue`, or give the director a leg in the backend's segment", \
	  "") \
	X(NO_BACKEND, CAUSE_DIRECTOR, \
	  "nothing answers at the VIP; NO_BACKEND grows in `halfproxy status`", \
	  "the service has no usable backend", \
	  "`halfproxy status SERVICE`", \
	  "mend one of its backends", \
	  "") \
	X(PATH_MTU, CAUSE_DIRECTOR | CAUSE_BACKEND | CAUSE_PROBE, \
	  "small pages work, large uploads hang", \
	  "encapsulated packets are longer than the path's MTU", \
	  "`ping -M do -s SIZE BACKEND` on the director; TOO_BIG in `halfproxy status`", \
	  "raise the MTU of the way, or tell each backend the way's", \
	  "halfproxy-backend up --mtu {mtu}") \
	X(MSS_TOO_LARGE, CAUSE_BACKEND, \
	  "small pages work, large uploads hang", \
	  "the MSS that the VIP advertises leaves no room for the outer header", \
	  "`halfproxy-backend status`, mss", \
	  "have the filter lower it", \
	  "halfproxy-backend up{up}") \
	X(RECEIVE_MERGED, CAUSE_DIRECTOR, \
	  "stalls of 200 ms, ICMP fragmentation needed for packets that fit", \
	  "the network card merges packets before XDP sees them (LRO or hardware GRO), or generic XDP gets merged " \
	  "ones", \
	  "`ethtool -k IF`", \
	  "switch it off", \
	  "ethtool -K {if} {value} off") \
	X(XDP_GENERIC, CAUSE_DIRECTOR, \
	  "the director forwards fewer packets than its network card could bring", \
	  "XDP runs in generic mode, behind the driver", \
	  "`halfproxy status`, interfaces", \
	  "take a driver with native XDP, or mend what keeps it off (MTU, LRO)", \
	  "") \
	X(XDP_TAKEN, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "halfproxyd or halfproxy-backend refuses the interface", \
	  "another XDP program is on it", \
	  "`bpftool net`", \
	  "take it off, if it is not needed", \
	  "ip link set dev {if} xdp off") \
	X(XDP_REFUSED, CAUSE_DIRECTOR, \
	  "halfproxyd cannot attach its program to an interface", \
	  "the driver refuses it: an MTU above what its XDP takes (EINVAL), LRO or hardware GRO (EOPNOTSUPP)", \
	  "`halfproxy status`, interfaces; the driver's words in `dmesg`", \
	  "lower the MTU, switch LRO off, or say `mode: generic`", \
	  "") \
	X(DAEMON_SILENT, CAUSE_DIRECTOR, \
	  "`halfproxy` says that no daemon answers", \
	  "halfproxyd does not run, or has its socket elsewhere; packets flow on as they did", \
	  "`systemctl status halfproxyd`", \
	  "start it, or name its socket by --socket", \
	  "") \
	X(PROGRAM_OLD, CAUSE_BACKEND, \
	  "packets of a tunnel are treated as by an earlier version", \
	  "the programs on the interface are of another version, or their pins are gone", \
	  "`halfproxy-backend status`, programs", \
	  "replace them", \
	  "halfproxy-backend up{up}") \
	X(DIRECTOR_FORWARDS, CAUSE_DIRECTOR, \
	  "a packet for a port of the VIP that has no service goes round between router and director until its TTL " \
	  "ends", \
	  "the director forwards (ip_forward=1) and has a route for the VIP back to where its packets come from", \
	  "`sysctl net.ipv4.ip_forward`, `ip route get VIP` on the director", \
	  "switch it off, if this host routes nothing else", \
	  "sysctl -w {path}=0") \
	X(FASTOPEN_KEY, CAUSE_BACKEND, \
	  "TCP Fast Open works with one backend at a time only", \
	  "servers may take data in SYN packets (tcp_fastopen), and this backend has a key of its own for the cookies", \
	  "`sysctl net.ipv4.tcp_fastopen_key` on all backends", \
	  "set the same key on all backends", \
	  "") \
	X(BPFFS_MISSING, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "halfproxyd or halfproxy-backend says that no BPF file system is there", \
	  "/sys/fs/bpf is not mounted", \
	  "`mount -t bpf`", \
	  "mount it", \
	  "mount -t bpf bpf /sys/fs/bpf") \
	X(MEMLOCK, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "loading the programs fails with EPERM", \
	  "the kernel counts BPF memory against the limit of locked memory, which is small", \
	  "`ulimit -l`", \
	  "raise it in the unit: LimitMEMLOCK=infinity", \
	  "") \
	X(KERNEL_OLD, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "loading the programs fails", \
	  "the kernel is older than those that halfproxy is tested on", \
	  "`uname -r`", \
	  "take a newer kernel", \
	  "") \
	X(JIT_OFF, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "packets cost many times what they should", \
	  "the kernel interprets BPF programs instead of compiling them", \
	  "`sysctl net.core.bpf_jit_enable`", \
	  "switch the compiler on", \
	  "sysctl -w net/core/bpf_jit_enable=1") \
	X(CLOCK_UNSYNCHRONISED, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "certificates count as expired or as not valid yet; what several directors log cannot be compared", \
	  "the clock is not synchronised", \
	  "`timedatectl`, `adjtimex`", \
	  "run chrony, ntpd or systemd-timesyncd", \
	  "timedatectl set-ntp true") \
	X(LIMIT_LOW, CAUSE_DIRECTOR | CAUSE_BACKEND, \
	  "connections are refused or lost under load", \
	  "a limit of the host is low: pending connections (somaxconn), or open files", \
	  "`sysctl net.core.somaxconn`, `ulimit -n`", \
	  "raise it", \
	  "{command}") \
	X(BACKEND_SILENT, CAUSE_PROBE, \
	  "the backend takes no packet at all", \
	  "its own address does not answer either: the machine is down, or cut off", \
	  "`ping BACKEND` on the director", \
	  "start it, or mend the network", \
	  "") \
	X(OWN_ADDRESS_SILENT, CAUSE_PROBE, \
	  "the service works, and a check of the backend's own address fails", \
	  "only the VIP answers: the service does not listen on the backend's own address, or that one is filtered", \
	  "`ping BACKEND` on the director", \
	  "nothing, if it is meant", \
	  "") \
	X(PORT_SILENT, CAUSE_PROBE, \
	  "clients time out, while the VIP answers ping", \
	  "packets for this port, or answers from it, are filtered, or the service does not accept", \
	  "`ss -ltn` and `nft list ruleset` on the backend", \
	  "open the port, or mend the service", \
	  "") \
	X(FILTERED, CAUSE_PROBE, \
	  "ICMP says: administratively prohibited", \
	  "a packet filter rejects packets for the VIP", \
	  "who sent the ICMP error", \
	  "let them pass there", \
	  "") \
	X(WRONG_ANSWER, CAUSE_PROBE, \
	  "clients get errors", \
	  "the service answers something else than the check expects", \
	  "the answer, in `halfproxy status`", \
	  "mend the service, or the check", \
	  "") \
	X(CERTIFICATE, CAUSE_PROBE, \
	  "clients refuse the connection", \
	  "the certificate does not hold: expired, of another name, or of an unknown issuer", \
	  "`openssl s_client -connect VIP:443` from a client", \
	  "renew it; or tell the check for which name it is (host), or who signed it (ca)", \
	  "") \
	X(TOO_SLOW, CAUSE_PROBE, \
	  "clients wait", \
	  "the answer began and was not complete within the check's timeout", \
	  "`halfproxy status`", \
	  "relieve the backend, or allow more time", \
	  "") \
	X(CUT_OFF, CAUSE_PROBE, \
	  "connections break right after they were accepted", \
	  "the service, or something in front of it, resets connections that it had accepted", \
	  "the service's own log", \
	  "mend the service", \
	  "") \
	X(PROBE_NOT_SENT, CAUSE_DIRECTOR | CAUSE_PROBE, \
	  "checks fail one and all", \
	  "the director could not send the probe", \
	  "`halfproxy doctor` on the director", \
	  "mend what the text names: a file that cannot be read, a command that cannot be run, or what else the doctor finds " \
	  "on this host", \
	  "") \
	X(PORT_NOT_TRANSLATED, CAUSE_CHECK, \
	  "connection refused", \
	  "the service listens on another port than the VIP's, and Direct Server Return translates none", \
	  "`halfproxy check`", \
	  "have it listen on the VIP's port, or map that on each backend: `halfproxy-backend up --map PORT:SERVER`", \
	  "") \
	X(FLOWS_FULL, CAUSE_DIRECTOR, \
	  "services stay moving", \
	  "the table of remembered flows is full", \
	  "`halfproxy status`", \
	  "raise limits.flows", \
	  "") \
	X(IDLE_TIMEOUT, 0, \
	  "connections break in mid-stream after some minutes of silence", \
	  "a middlebox forgets them, as it sees one direction only", \
	  "the age of its state", \
	  "keepalive below its timeout", \
	  "") \
	X(CLOUD_CHECK, 0, \
	  "the backend answers, and nothing arrives", \
	  "the cloud drops packets whose source is no address of the machine", \
	  "its flow log", \
	  "switch the source/destination check off", \
	  "") \
	X(TCPDUMP_EMPTY, 0, \
	  "tcpdump on the director shows nothing", \
	  "XDP sends before the taps", \
	  "", \
	  "use `halfproxy trace`, or capture at the neighbours", \
	  "") \
	X(ASKED_FROM_DIRECTOR, 0, \
	  "curl to the VIP fails on the director itself", \
	  "the program sees only packets that come in", \
	  "", \
	  "ask from a client", \
	  "") \
	X(ASKED_FROM_BACKEND, 0, \
	  "a backend that asks the VIP gets its own answer", \
	  "the VIP is an address of its own", \
	  "", \
	  "ask the other backends by their own addresses", \
	  "")
/* clang-format on */

enum cause {
	CAUSE_NONE,
#define CAUSE_ENUM(name, found_by, symptom, cause, check, mend, command) CAUSE_##name,
	CAUSES(CAUSE_ENUM)
#undef CAUSE_ENUM
		CAUSE_COUNT
};

struct cause_text {
	const char *name; /* "VIP_MISSING" */
	unsigned int found_by;
	const char *symptom, *cause, *check, *mend, *command;
};

/* The line of a cause; of CAUSE_NONE one of empty texts. */
const struct cause_text *cause_text(enum cause cause);

/* The cause of that name; CAUSE_NONE where there is none, as of a later version. */
enum cause cause_named(const char *name);

#define CAUSE_COMMAND_BYTES 512

/* Write the command that mends it into out.
 *
 * words  pairs of a name in the command's braces and what stands for it, ended by NULL. What a shell would take apart is
 *        quoted, but for the names `up` and `command`, whose values are words already. A name that is not among them
 *        stays in capitals.
 * Returns out, "" where no command mends it, or where it does not fit. */
const char *cause_command(enum cause cause, const char *const *words, char out[static CAUSE_COMMAND_BYTES]);

#endif
