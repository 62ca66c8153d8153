# shellcheck shell=bash
# Real servers and clients on the rig: nginx, dnsmasq, curl, dig. Sourced after rig.sh.

RIG_FILE_BYTES=12582912
RIG_DNS_DOMAIN=halfproxy.test

# web_up N VIP [PORT...]: nginx on backend N, on the VIP and on its own address, with a page that names it and a file, on
# port 80 and others; it takes uploads.
web_up() {
	local dir=$RIG_DIR/web$1 own listen port ports=
	mkdir -p "$dir/www" "$dir/tmp"
	[ -e "$RIG_DIR/file" ] || head -c $RIG_FILE_BYTES /dev/urandom >"$RIG_DIR/file"
	ln "$RIG_DIR/file" "$dir/www/file"
	own=10.3.0.$1 listen=$2
	[[ $2 != *:* ]] || { own="[fd00:3::$1]" listen="[$2]"; }
	echo "hello from backend$1, $(tr -d '[]' <<<"$own")" >"$dir/www/index.html"
	for port in "${@:3}"; do ports+="listen $listen:$port; "; done
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		user root;
		worker_processes 1;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 512; }
		http {
		    access_log $dir/access.log;
		    client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
		    uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
		    sendfile on;
		    server {
		        listen $listen:80; listen $own:80; ${ports}root $dir/www;
		        location /put/ { dav_methods PUT; create_full_put_path on; client_max_body_size 0; }
		    }
		}
	END
	serve "backend$1" "nginx$1" nginx -c "$dir/nginx.conf" -e "$dir/error.log"
	eventually 5 host "backend$1" curl -s -o /dev/null "http://$own/"
}

# dns_up N VIP: dnsmasq on backend N, bound to the VIP alone.
dns_up() {
	serve "backend$1" "dnsmasq$1" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
		--user=root --pid-file="" --bind-interfaces --listen-address="$2" --local-service=net --log-facility=- \
		--txt-record="www.$RIG_DNS_DOMAIN,hello from backend$1" \
		--txt-record="long.$RIG_DNS_DOMAIN,$(printf '%0200d' "$1")"
	eventually 5 host "backend$1" ss -Huln "sport = 53" && sleep 0.3
}

# The address as a URL writes it.
url_host() { if [[ $1 = *:* ]]; then echo "[$1]"; else echo "$1"; fi; }

# web_get VIP PATH [CURL-OPTION...]: with a real curl, at the client.
web_get() {
	host client curl -sS --max-time 20 --noproxy '*' "${@:3}" "http://$(url_host "$1")/$2"
}

# dns_get VIP NAME: the text that the name has, with a real dig, at the client.
dns_get() {
	host client dig +short +tries=1 +time=3 "@$1" "$2.$RIG_DNS_DOMAIN" TXT
}

# download_begin NAME VIP PATH: a download into $RIG_DIR/NAME that has begun, and stands still until download_goes_on NAME:
# its reader stops itself, and curl and the kernels hold a few 100 KB at most, given small buffers at the client.
download_begin() {
	mkfifo "$RIG_DIR/$1.pipe"
	serve client "curl-$1" curl -sS --noproxy '*' -o "$RIG_DIR/$1.pipe" "http://$(url_host "$2")/$3"
	# shellcheck disable=SC2016 # for the inner shell
	serve client "reader-$1" sh -c 'exec <"$0" >"$1"; head -c 1000; kill -STOP $$; exec cat' "$RIG_DIR/$1.pipe" "$RIG_DIR/$1"
	eventually 15 grep -q '^State:.T' "/proc/$(cat "$RIG_DIR/reader-$1.pid")/status"
}
download_goes_on() { kill -CONT "$(cat "$RIG_DIR/reader-$1.pid")"; }
download_ended() { ! serves "curl-$1" && ! serves "reader-$1"; }
