#!/bin/bash
# A first start that is refused says why in clear words, and leaves nothing behind; one that succeeds tells systemd.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

daemon() { host director timeout 5 "$BUILD/halfproxyd" "$@"; }
start() { daemon -c "$RIG_DIR/$1.yaml" --pins "$RIG_PINS" --state "$RIG_DIR/made/state"; }
# The same with a trace or with privileges taken away: start_as PROGRAM [ARGUMENT...]
start_as() {
	host director "$@" timeout 5 "$RIG_DIR/daemon" -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS" --state "$RIG_DIR/made/state"
}
file() { # NAME INTERFACES
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 | RIG_INTERFACES=$2 director_file
	mv "$RIG_DIR/halfproxy.yaml" "$RIG_DIR/$1.yaml"
}
world() { # whatever a start could leave
	find /sys/fs/bpf /run "$RIG_DIR/made" "$RIG_DIR/api.sock" 2>/dev/null | sort
	host director bpftool net show
	host director ip -o neigh show proto 217
}
refused() { # as refuses, and nothing is left
	refuses "$@"
	expect_equal "... and nothing is left" "$WORLD" "$(world)"
}

rig_up l2 || exit 1
cp "$BUILD/halfproxyd" "$RIG_DIR/daemon"
file good eth0
file lost "eth0, eth7"
file loop lo
host director ip link add br0 type bridge
file bridge br0
WORLD=$(world)

# ---- the file and what it names ---------------------------------------------------------------------------------
refused "an interface that is not there is named" "eth7" start lost
refused "with those that are, at a second start too" "there are: " start lost
refused "the loopback is refused" "lo gets no client's packets" start loop
refused "a bridge is refused" "br0 is a bridge" start bridge
refused "a file that is not there is named" "nothing.yaml" start nothing
: >"$RIG_DIR/empty.yaml"
refused "an empty file is refused" "empty.yaml:1:1:" start empty
printf 'services: [\n' >"$RIG_DIR/broken.yaml"
refused "broken YAML is refused with its place" "broken.yaml:" start broken
refused "a folder is no file" "Is a directory" daemon -c "$RIG_DIR" --pins "$RIG_PINS" --state "$RIG_DIR/made/state"
refused "an option that is none is refused" 'there is no option "--nonsense"; ' \
	daemon --pin "$RIG_PINS" --nonsense
refused "a mistyped one by the nearest" 'did you mean "--unload"?' daemon --unlaod
refused "a log level that is none is refused" "error, warning, notice" daemon --log-level loud

# ---- the host ---------------------------------------------------------------------------------------------------
for without in bpf net_admin perfmon; do
	capabilities=-all
	for one in bpf net_admin perfmon; do [ $one = $without ] || capabilities=$capabilities,+$one; done
	refused "without CAP_${without^^} it says so" "privileges are missing: CAP_${without^^} (" start_as setpriv --reuid=65534 \
		--regid=65534 --clear-groups --inh-caps=$capabilities --ambient-caps=$capabilities
done
refused "without a BPF file system it says how to mount it" "mount -t bpf bpf /sys/fs/bpf" start_as unshare --mount sh -c \
	'mount -t tmpfs none /sys/fs/bpf; exec "$@"' -
refused "pins outside of it are refused" "no BPF file system" daemon -c "$RIG_DIR/good.yaml" --pins "$RIG_DIR/pins" \
	--state "$RIG_DIR/made/state"
refused "a state folder that cannot be made is refused" "state folder /proc/" daemon -c "$RIG_DIR/good.yaml" \
	--pins "$RIG_PINS" --state /proc/halfproxy
# shellcheck disable=SC2016 # the inner shell's own variables
refused "one that cannot be written to as well" "Read-only file system" start_as unshare --mount sh -c \
	'mkdir -p "$0"; mount -t tmpfs -o ro none "$0"; shift; "$@"; status=$?; umount "$0"; rmdir "$0" "${0%/*}"; exit $status' \
	"$RIG_DIR/made/state" -
touch "$RIG_DIR/api.sock"
refuses "a file in the API socket's place is not removed" "something else of that name" start good
expect "it is there" test -f "$RIG_DIR/api.sock"
rm "$RIG_DIR/api.sock"
expect_equal "and nothing else is left" "$WORLD" "$(world)"
host director ip link set dev eth0 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
WORLD=$(world)
refused "somebody else's XDP program is named, not replaced" "program 'pass'" start good
host director ip link set dev eth0 xdp off
WORLD=$(world)

# ---- a kernel that lacks something --------------------------------------------------------------------------------
# What the kernel would say is put in its mouth. Which of the calls to fail is read from a start that succeeds.
serve director traced strace -D -f -o "$RIG_DIR/trace" -e trace=bpf "$BUILD/halfproxyd" -c "$RIG_DIR/good.yaml" \
	--pins "$RIG_PINS" --state "$RIG_DIR/made/state"
need "a start that is traced succeeds" eventually 20 grep -q ">ready " "$RIG_DIR/traced.log"
stop traced
need "what it made can be taken away" daemon --unload --pins "$RIG_PINS" --state "$RIG_DIR/made/state"
rm -rf "$RIG_DIR/made"
number() { grep -oE 'bpf\(.*' "$RIG_DIR/trace" | grep -nE -m 1 "$1" | cut -d : -f 1; }
without() { # SENTENCE TEXT ERROR CALL
	local from
	from=$(number "$4")
	need "the call $4 is made" test -n "$from"
	refused "$1" "$2" start_as strace -f -o /dev/null -e "inject=bpf:error=$3:when=$from+"
}
without "a kernel without bpf(2) is named, with what is needed" "CONFIG_BPF_SYSCALL is needed" ENOSYS 'bpf\('
without "a kernel that refuses in spite of capabilities" "lockdown" EPERM 'bpf\('
without "a kernel without a kind of map" "map 'ports': failed to create" EINVAL 'DEVMAP_HASH'
without "... says which kernel is needed" "Linux 6.1 or newer" EINVAL 'DEVMAP_HASH'
without "a kernel without maps that can be mapped" "': failed to create" EINVAL 'MAP_TYPE_ARRAY.*max_entries=1024,.*MMAPABLE'
without "no memory for a map" "lower limits.services" ENOMEM 'MAP_TYPE_ARRAY.*max_entries=1024,.*MMAPABLE'
without "a verifier that refuses the program" "does not take the program" EINVAL 'BPF_PROG_TYPE_XDP'
without "a kernel without XDP links" "interface eth0: generic XDP is refused" EINVAL 'BPF_LINK_CREATE'
without "a BPF file system that is full" "No space left on device" ENOSPC 'BPF_OBJ_PIN.*/maps/slots'
without "also for the last pin, that of the link" "pinning $RIG_PINS/links/eth0: No space left on device" ENOSPC \
	'BPF_OBJ_PIN.*/links/'

# ---- a start that succeeds ----------------------------------------------------------------------------------------
serve director notified socat -u "UNIX-RECV:$RIG_DIR/notify" "CREATE:$RIG_DIR/told"
eventually 5 test -S "$RIG_DIR/notify"
NOTIFY_SOCKET=$RIG_DIR/notify serve director alone "$BUILD/halfproxyd" -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS" \
	--state "$RIG_DIR/made/state"
expect "systemd is told when it is ready" eventually 10 grep -q READY=1 "$RIG_DIR/told"
kill -HUP "$(cat "$RIG_DIR/alone.pid")"
expect "and of a reload" eventually 5 grep -q RELOADING=1 "$RIG_DIR/told"
stop alone
expect "and of the end" eventually 5 grep -q STOPPING=1 "$RIG_DIR/told"
expect_equal "each line of the log is a level, an event and its values" "" \
	"$(grep -vE '^<[3-7]>[a-z_]+( [a-z_]+=("[^"]*"|[^ "]*))*$' "$RIG_DIR/alone.log")"
expect "unload" daemon --unload --pins "$RIG_PINS" --state "$RIG_DIR/made/state"
rmdir "$RIG_DIR/made"
expect_equal "after which nothing is left" "$WORLD" "$(world)"
finish
