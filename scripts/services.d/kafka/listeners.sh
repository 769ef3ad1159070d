# shellcheck shell=bash
# Where a node listens, how it knows who calls, and how clients are to call it.

# The ids of the nodes.
nodes() {
  seq 1 "$brokers"
}

# What clients may connect to, by the name that a suite asks for.
listeners() {
  echo plaintext
  [[ "$tls" == no ]] || echo ssl
  [[ "$mtls" == no ]] || echo mtls
  [[ -z "$mechanisms" ]] || echo sasl_plaintext
  [[ -z "$mechanisms" || "$tls" == no ]] || echo sasl_ssl
  [[ "$proxied" == no ]] || echo proxied
}

has_listener() {
  listeners | grep -qx -- "$1"
}

# Kafka's security protocol of a listener, in lower case.
protocol() {
  case "$1" in
    mtls) echo ssl ;;
    proxied | controller) echo plaintext ;;
    *) echo "$1" ;;
  esac
}

upper() {
  tr '[:lower:]' '[:upper:]'
}

# Ports are given row by row, a node each: the listeners, what `proxied` announces, the quorum.
rows() {
  listeners
  [[ "$proxied" == no ]] || echo announced
  echo controller
}

# port_of ROW NODE
port_of() {
  local row
  row="$(rows | grep -nx -- "$1" | cut -d : -f 1)"
  echo $((base + (row - 1) * brokers + $2 - 1))
}

# The bootstrap addresses of a row.
addresses() {
  local id list=()
  for id in $(nodes); do
    list+=("127.0.0.1:$(port_of "$1" "$id")")
  done
  (IFS=, && echo "${list[*]}")
}

# The settings of a node.
node_settings() {
  local id="$1" each row
  local listen=() announce=() map=() voters=()
  for each in $(listeners); do
    row="$each"
    [[ "$each" != proxied ]] || row=announced
    listen+=("$(upper <<<"$each")://127.0.0.1:$(port_of "$each" "$id")")
    announce+=("$(upper <<<"$each")://127.0.0.1:$(port_of "$row" "$id")")
    map+=("$(upper <<<"$each"):$(protocol "$each" | upper)")
  done
  for each in $(nodes); do
    voters+=("$each@127.0.0.1:$(port_of controller "$each")")
  done
  local in_sync=$((brokers == 1 ? 1 : brokers - 1))
  cat <<TEXT
process.roles=broker,controller
node.id=$id
log.dirs=data
controller.listener.names=CONTROLLER
controller.quorum.voters=$(IFS=, && echo "${voters[*]}")
inter.broker.listener.name=PLAINTEXT
listeners=$(IFS=, && echo "${listen[*]}"),CONTROLLER://127.0.0.1:$(port_of controller "$id")
advertised.listeners=$(IFS=, && echo "${announce[*]}")
listener.security.protocol.map=$(IFS=, && echo "${map[*]}"),CONTROLLER:PLAINTEXT

# A topic that nobody made is a mistake to be seen.
auto.create.topics.enable=false
default.replication.factor=$brokers
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$brokers
transaction.state.log.replication.factor=$brokers
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.replication.factor=$brokers
share.coordinator.state.topic.min.isr=$in_sync

# Fifty partitions of each are for larger clusters: here they cost a start its time.
offsets.topic.num.partitions=6
transaction.state.log.num.partitions=6
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
TEXT
  security_settings
  [[ ${#settings[@]} -eq 0 ]] || printf '%s\n' "" "${settings[@]}"
}

# Who is believed, and how.
security_settings() {
  local each mechanism
  if [[ "$tls" == yes ]]; then
    cat <<'TEXT'

ssl.keystore.type=PEM
ssl.keystore.location=../../certificates/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=../../certificates/ca.crt
TEXT
  fi
  [[ "$mtls" == no ]] || echo "listener.name.mtls.ssl.client.auth=required"
  [[ -n "$mechanisms" ]] || return 0
  echo
  echo "sasl.enabled.mechanisms=$(upper <<<"${mechanisms// /,}")"
  for each in $(listeners | grep '^sasl_'); do
    for mechanism in $mechanisms; do
      echo "listener.name.$each.$mechanism.sasl.jaas.config=$(server_login "$mechanism")"
    done
  done
}

server_login() {
  local module=org.apache.kafka.common.security
  case "$1" in
    plain) echo "$module.plain.PlainLoginModule required user_$user=\"$(<"$instance/credentials/password")\";" ;;
    scram-*) echo "$module.scram.ScramLoginModule required;" ;;
    oauthbearer) echo "$module.oauthbearer.OAuthBearerLoginModule required;" ;;
  esac
}

client_login() {
  local module=org.apache.kafka.common.security
  local known
  known="username=\"$user\" password=\"$(<"$instance/credentials/password")\""
  case "$1" in
    plain) echo "$module.plain.PlainLoginModule required $known;" ;;
    scram-*) echo "$module.scram.ScramLoginModule required $known;" ;;
    oauthbearer) echo "$module.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"$user\";" ;;
  esac
}

# Every way to call: a listener and, where it asks for one, a mechanism.
ways() {
  local each mechanism
  for each in $(listeners); do
    if [[ "$each" == sasl_* ]]; then
      for mechanism in $mechanisms; do
        echo "$each $mechanism"
      done
    else
      echo "$each"
    fi
  done
}

# The settings file of Kafka's own tools for a way: client_file LISTENER [MECHANISM]
client_file() {
  printf '%s/clients/%s.properties' "$instance" "$1${2:+-$2}"
}

clients_write() {
  local listener mechanism
  while read -r listener mechanism; do
    (umask 077 && client_settings "$listener" "$mechanism" >"$(client_file "$listener" "$mechanism")")
  done < <(ways)
}

client_settings() {
  local certificates
  certificates="$(property "$instance/certificates")"
  echo "security.protocol=$(protocol "$1" | upper)"
  case "$1" in
    ssl | mtls | sasl_ssl) printf '%s\n' "ssl.truststore.type=PEM" "ssl.truststore.location=$certificates/ca.crt" ;;
  esac
  case "$1" in
    mtls) printf '%s\n' "ssl.keystore.type=PEM" "ssl.keystore.location=$certificates/client.pem" ;;
    sasl_*) printf '%s\n' "sasl.mechanism=$(upper <<<"$2")" "sasl.jaas.config=$(client_login "$2")" ;;
  esac
}
