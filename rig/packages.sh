# shellcheck shell=bash
# What building, the demo and the tests need of the system, and its installation. Sourced by run.
#
# Not a package manager: it asks dpkg what is there, installs what is not, and is silent when nothing is missing.

# bird2, frr and keepalived are those whose configurations dist/ ships: they announce VIPs in the tests as they do for users.
# shellcheck disable=SC2034 # used by name
{
PACKAGES_build="clang clang-19 bpftool meson ninja-build pkg-config gcc libc6-dev linux-libc-dev libbpf-dev libuv1-dev
	libyaml-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libc-ares-dev libmnl-dev libxxhash-dev uthash-dev
	libcmocka-dev libsystemd-dev"	# libcurl, openssl, c-ares: probes of https and dns
PACKAGES_demo="jq nginx-light curl tcpdump iproute2 ethtool dnsmasq-base bind9-dnsutils procps"
PACKAGES_test="libclang-rt-19-dev tshark iperf3 cppcheck shellcheck mandoc nftables python3 python3-scapy socat
	iputils-ping iputils-tracepath util-linux strace openssl openssh-server openssh-client vsftpd bird2 frr keepalived
	ngtcp2-client ngtcp2-server"
PACKAGES_paths="traceroute"	# measured by ./run paths alone, with those of the tests
PACKAGES_guest="qemu-system-x86 busybox cpio kmod xz-utils"
}

# Those of the arguments that are not installed, one a line. dpkg-query fails when it does not know one of them.
packages_missing() {
	local there
	# shellcheck disable=SC2016 # dpkg-query's own variables
	there=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii  *//p') || true
	printf '%s\n' "$@" | grep -vxF -e "$there" || true
}

packages_install() {
	local tries policy=/usr/sbin/policy-rc.d made=0 ok=1
	echo "installing $*" >&2
	if [ ! -e $policy ]; then # a package's daemon, such as nginx, must not start
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		made=1
	fi
	for tries in 1 2 3; do
		if DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
			-o DPkg::Lock::Timeout=120 install "$@" >"$PACKAGES_LOG" 2>&1; then
			ok=0
			break
		fi
		[ "$tries" = 3 ] || apt-get -qq update >>"$PACKAGES_LOG" 2>&1 || sleep 3
	done
	[ $made = 0 ] || rm -f $policy
	return $ok
}

# packages_need GROUP...: make sure that everything of the groups build, demo, test, paths, guest is installed, or end.
packages_need() {
	local group list missing want=()
	for group in "$@"; do
		list=PACKAGES_$group
		# shellcheck disable=SC2206 # words are wanted
		want+=(${!list})
	done
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		packages_elsewhere "$@"
		return 0
	fi
	mapfile -t missing < <(packages_missing "${want[@]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	PACKAGES_LOG=$(mktemp)
	if packages_install "${missing[@]}"; then
		rm -f "$PACKAGES_LOG"
		return 0
	fi
	cat "$PACKAGES_LOG" >&2
	rm -f "$PACKAGES_LOG"
	echo "run: apt-get could not install: ${missing[*]}" >&2
	exit 1
}

# A system without apt: say which programs and libraries are missing, in Debian's names for them.
packages_elsewhere() {
	local tool library group missing=()
	for tool in clang:clang bpftool:bpftool meson:meson ninja:ninja-build pkg-config:pkg-config gcc:gcc; do
		command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
	done
	for library in libbpf:libbpf-dev libuv:libuv1-dev yaml-0.1:libyaml-dev jansson:libjansson-dev \
		libmicrohttpd:libmicrohttpd-dev libcurl:libcurl4-openssl-dev openssl:libssl-dev libcares:libc-ares-dev libmnl:libmnl-dev \
		libxxhash:libxxhash-dev libsystemd:libsystemd-dev cmocka:libcmocka-dev; do
		pkg-config --exists "${library%:*}" 2>/dev/null || missing+=("${library#*:}")
	done
	for group in "$@"; do
		[ "$group" != demo ] || for tool in nginx:nginx-light curl:curl tcpdump:tcpdump ip:iproute2 \
			ethtool:ethtool dnsmasq:dnsmasq-base dig:bind9-dnsutils; do
			command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
		done
		[ "$group" != test ] || for tool in tshark:tshark iperf3:iperf3 cppcheck:cppcheck \
			shellcheck:shellcheck mandoc:mandoc jq:jq nft:nftables python3:python3 socat:socat strace:strace openssl:openssl \
			sshd:openssh-server ssh:openssh-client gtlsclient:ngtcp2-client gtlsserver:ngtcp2-server bird:bird2 vtysh:frr keepalived:keepalived; do
			command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
		done
		[ "$group" != paths ] || for tool in traceroute:traceroute vsftpd:vsftpd gtlsclient:ngtcp2-client \
			gtlsserver:ngtcp2-server; do
			command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
		done
		[ "$group" != guest ] || for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox cpio:cpio depmod:kmod \
			xz:xz-utils; do
			command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
		done
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "run: this system has no apt-get, and lacks (named as Debian does): ${missing[*]}" >&2
	exit 1
}
