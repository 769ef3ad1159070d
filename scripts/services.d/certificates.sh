# shellcheck shell=bash
# Certificates for an instance: an authority of its own, one certificate for its servers, one for a client. Keys are PKCS #8
# without a password, everything is PEM.

# Makes ca, server and client (.crt and .key) in a folder: certificates_make FOLDER CLIENT
certificates_make() {
  local certificates="$1" client="$2" log="$1/openssl.log"
  need openssl "OpenSSL"
  mkdir -p "$certificates"
  (
    cd "$certificates"
    umask 077
    certificate_key ca
    openssl req -new -x509 -key ca.key -sha256 -days 3650 -subj "/CN=hook test authority" -out ca.crt
    certificate_issue server "/CN=localhost" "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" serverAuth
    certificate_issue client "/CN=$client" "subjectAltName=DNS:$client" clientAuth
  ) >"$log" 2>&1 || fail "could not make certificates: $(tail -n 3 "$log")"
  rm -f "$log"
}

certificate_key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# Has the authority sign: certificate_issue NAME SUBJECT ALTERNATIVE-NAMES USE
certificate_issue() {
  certificate_key "$1"
  printf '%s\n' "$3" "extendedKeyUsage=$4" "basicConstraints=CA:FALSE" >"$1.extensions"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.request"
  openssl x509 -req -in "$1.request" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 3650 \
    -extfile "$1.extensions" -out "$1.crt"
  rm -f "$1.request" "$1.extensions"
}
