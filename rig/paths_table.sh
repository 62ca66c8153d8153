# shellcheck shell=bash
# What rig/paths saw, as a document: a table for each program, and why some of it is not ok. Sourced by rig/paths.

declare -A PATHS_TITLES=(
	[upload]="Uploads by HTTP (curl, nginx)" [download]="Downloads by HTTP (curl, nginx)"
	[answer]="DNS by UDP, an answer of 4,300 bytes (dig, dnsmasq)" [request]="DNS by UDP, a request of 4,000 bytes (dnsmasq)"
	[tracepath]="The path's MTU (tracepath)" [traceroute]="traceroute" [scp]="scp, to the server (OpenSSH)"
	[ftp]="FTP, passive, there and back (curl, vsftpd)" [quic]="Downloads by QUIC (ngtcp2's client and server)"
)

# paths_document FILE METHOD...: FILE has lines of row, ICMP, program, method and family, what was seen.
paths_document() {
	local program
	paths_head
	for program in "${PATHS_PROGRAMS[@]}"; do
		printf '\n## %s\n\n' "${PATHS_TITLES[$program]}"
		paths_table "$program" "$@"
	done
	paths_reasons
}

paths_table() { # PROGRAM FILE METHOD...
	awk -F '\t' -v program="$1" -v methods="${*:3}" '
		function line(a, b, i, text) {
			text = "| " a " | " b " |"
			for (i = 1; i <= columns; i++)
				text = text " " (a == "---" ? "---" : cell[a, b, column[i]] == "" ? "-" : cell[a, b, column[i]]) " |"
			print text
		}
		BEGIN {
			count = split(methods, method, " ")
			for (i = 1; i <= count; i++) { column[++columns] = method[i] 4; column[++columns] = method[i] 6 }
		}
		$3 == program {
			if (!(($1, $2) in seen)) { seen[$1, $2] = 1; row[++rows] = $1; told[rows] = $2 }
			cell[$1, $2, $4] = $5
		}
		END {
			head = "| leg, MTU | ICMP |"
			for (i = 1; i <= count; i++) head = head " " method[i] " IPv4 | " method[i] " IPv6 |"
			print head
			line("---", "---")
			for (r = 1; r <= rows; r++) line(row[r], told[r])
		}' "$2"
}

paths_head() {
	cat <<-'END'
		# Real programs through links of any MTU

		Made by `./run paths`, on Debian 12, with one client, one router, one director and one backend in network namespaces: the
		topology at the top of `rig/rig.sh`. Every program ran once in each cell, with files of 300,000 bytes and a few seconds'
		time; those of a row that send much ran side by side, and then those that receive much. Neither client, director nor backend
		knew anything of the path from before.

		The first column is the leg that differs, and its MTU; all others are of 1500 bytes. *client* lies between client and
		router, *director* between router and director, *backend* between router and backend (in l2: director and backend). A
		link of 1280 or 1400 bytes is one in the middle of the leg, so that neither end knows of it, but for l2 on the way to
		the backend, where it is the director's own. One of 9000 bytes has interfaces of that MTU.

		The second column is whether the router says by ICMP that packets are too big: *no* is a router that drops all such
		messages, its own and others'. *no, MSS N* is the same, with `mss: N` in the service, and `halfproxy-backend up --mss N`.

		A cell is *ok* where everything arrived, byte for byte; else what was seen. Under "The path's MTU" it is what tracepath
		found.
	END
}

paths_reasons() {
	cat <<-'END'

		## What is not ok, and what mends it

		**Uploads, scp and FTP stall without ICMP** where a link is narrower than 1500 bytes: the client's full segments do not pass it,
		in a tunnel or by themselves, and whoever drops them is not heard: a router on the client's way; one on the tunnel's way,
		whose message would have taught the director; or the director, whose own message would have taught the client. Tunnels over
		links of 1500 bytes throughout do not stall: the backend's SYN-ACK allows for the outer header. `halfproxy-backend up --mss
		N` mends it, as the rows of *no, MSS* show, and so does `--mtu N` where only the way of tunnels is narrow, wider links, or
		letting ICMP pass.

		**Downloads stall without ICMP** where the link is one that answers take: the client's leg or the backend's. `mss: N` in the
		service mends it: the director lowers what the client's SYN allows. `mss: auto` takes N from the path to the backend as the
		director knows it, which helps where that is the narrow one and a route on the director tells its MTU.

		**No answer of 4,300 bytes by DNS without ICMP**: over IPv4 routers cut fragments again, but over IPv6 only the sender may, who
		is not told. A backend with 9000 bytes sends the answer as one packet, which by IPv4 may not be cut either. No MSS helps UDP:
		bound what the server sends (`edns-packet-max=1232` of dnsmasq), so that what is longer comes by TCP.

		**No answer to a request of 4,000 bytes by DNS without ICMP**: as above, with the client as sender. A tunnel's header comes on
		top of fragments that are as long as the client's own link takes, so that they do not fit over links of 1500 bytes, and the
		director, like any host that cannot say so, drops them; in l2 it is where its own leg is narrow. Links between director and
		backend that take the header's bytes more mend it, and so does letting ICMP pass.

		**tracepath has no reply without ICMP**: it sends packets as long as the client's link takes and waits to be told. That is what
		it is for.

		**IPv6 by a tunnel over 1280 bytes**: such a link is too narrow for a tunnel, with ICMP or without it, since no IPv6 host sends
		less than 1280 bytes at a time, whatever it is told. Uploads stall, tracepath has no reply, and QUIC, whose first packets have
		1,200 bytes at least, does not begin. Downloads and answers by DNS stall where the backend's leg is the narrow one: the
		router's message for the backend has 1280 bytes itself, and does not fit the tunnel either. The MSS mends TCP; wider links,
		of 1280 bytes and the outer header's, mend all.

		**l2 with 9000 bytes on the way to the backend alone**: veth takes no native XDP program at that MTU, so that the director has
		a generic one on eth1 and a native one on eth0, and what the native one sends out of eth1 is lost. `halfproxy status` shows
		both modes. `mode: generic` of eth0 mends it, and so does one MTU for both: see the rows of *all 9000*. Drivers differ; one
		that takes native programs at its MTU does not have this.
	END
}
