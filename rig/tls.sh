# shellcheck shell=bash
# Certificates for servers of the rig, made by a CA of its own. Sourced after rig.sh; everything lies in $RIG_DIR/tls.
#
#     tls_ca NAME                                  NAME.crt and NAME.key, of an authority
#     tls_certificate NAME CA SUBJECT [FROM [TO]]  NAME.crt and NAME.key, for SUBJECT (DNS:x,IP:y), from and to as
#                                                  YYYYMMDDhhmmssZ; for ten years by default

tls_openssl() { (cd "$RIG_DIR/tls" && openssl "$@" </dev/null >>openssl.log 2>&1); }

tls_key() { tls_openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

tls_ca() {
	mkdir -p "$RIG_DIR/tls"
	tls_key "$1" && tls_openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 3650 -out "$1.crt" || return
	: >"$RIG_DIR/tls/$1.index"
	cat >"$RIG_DIR/tls/$1.conf" <<-END
		[ca]
		default_ca = ca_here
		[ca_here]
		database = $1.index
		new_certs_dir = .
		rand_serial = yes
		default_md = sha256
		policy = any
		copy_extensions = copy
		unique_subject = no
		[any]
		commonName = supplied
	END
}

tls_certificate() {
	tls_key "$1" && tls_openssl req -new -key "$1.key" -subj "/CN=$1" -addext "subjectAltName=$3" -out "$1.csr" &&
		tls_openssl ca -batch -config "$2.conf" -cert "$2.crt" -keyfile "$2.key" -in "$1.csr" -out "$1.crt" -notext \
			-startdate "${4:-20200101000000Z}" -enddate "${5:-20491231000000Z}"
}
