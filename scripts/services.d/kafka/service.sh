# shellcheck shell=bash
# Apache Kafka in KRaft mode, from its Maven artifacts: one node or three, each broker and controller at once.

# shellcheck source=artifacts.sh
source "$definitions/kafka/artifacts.sh"
# shellcheck source=options.sh
source "$definitions/kafka/options.sh"
# shellcheck source=listeners.sh
source "$definitions/kafka/listeners.sh"
# shellcheck source=node.sh
source "$definitions/kafka/node.sh"
# shellcheck source=answers.sh
source "$definitions/kafka/answers.sh"
# shellcheck source=tools.sh
source "$definitions/kafka/tools.sh"

service_about() {
  echo "Apache Kafka $(kafka_version), one broker or three"
}

service_help() {
  cat <<TEXT
Apache Kafka $(kafka_version). Needs Java 17 or later and, the first time, Maven; OpenSSL for --tls.

  scripts/services up kafka [OPTIONS]
      --name NAME        the instance; several run side by side                                    [kafka]
      --brokers 1|3      with 3: replication 3, min.insync.replicas 2, also for internal topics    [1]
      --tls              adds the listener ssl: the broker shows a certificate
      --mtls             adds ssl and mtls: there the client has to show one too
      --sasl LIST        adds sasl_plaintext and, with --tls, sasl_ssl. Mechanisms, by commas: plain,
                         scram-sha-256, scram-sha-512, oauthbearer (unsecured tokens); scram: both; all
      --proxied          adds proxied: plaintext, but announced under ports on which nobody listens, for a
                         proxy that a test starts there
      --port N           the first port; the others follow it. Without it, free ones are chosen, and kept
      --heap SIZE        the largest heap of a broker                                              [512m]
      --set KEY=VALUE    a setting of every broker, such as auto.create.topics.enable=true; repeatable
      --timeout SECONDS  how long a node may take until it answers                                 [90]
    The listener plaintext is always there. Topics are not made by writing to them, as in production.
    Without options, an instance that exists is started as it is.

  scripts/services env kafka [--listener L] [--mechanism M]    what hook and the suites read, for one listener
  scripts/services env kafka --json                            everything, for all listeners
  scripts/services logs kafka [NODE] [--lines N] [--follow]
  scripts/services kill kafka NODE [--signal KILL]             KILL and TERM wait until it has ended
  scripts/services start|stop kafka [NODE] [--timeout SECONDS]
  scripts/services exec kafka [--listener L] [--mechanism M] TOOL [ARG...]
      such as: exec kafka topics --list; tools: $(kafka_tools | xargs)
  scripts/services check kafka                                 a record over every listener and mechanism
  scripts/services down kafka [--keep-data]
TEXT
}

service_up() {
  options_parse "$@"
  artifacts_check
  lock "$name"
  if [[ -f "$instance/options" ]]; then
    options_compare
  else
    artifacts_install
    prepare
  fi
  local id started=()
  for id in $(nodes); do
    is_running "$(record "$id")" && continue
    node_start "$id"
    started+=("$id")
  done
  for id in $(nodes); do
    node_await "$id" "$(nodes | xargs)" "$timeout"
  done
  if [[ ${#started[@]} -eq 0 ]]; then
    say "kafka \`$name\` is already running: $(addresses plaintext)"
  else
    say "kafka \`$name\` is up after $SECONDS s: $(addresses plaintext)"
  fi
}

service_start() {
  select_nodes "$@"
  artifacts_check
  artifacts_install
  lock "$name"
  local id begun=()
  for id in $selected; do
    is_running "$(record "$id")" && { say "node $id of kafka \`$name\` is already running"; continue; }
    node_start "$id"
    begun+=("$id")
  done
  for id in ${begun[@]+"${begun[@]}"}; do
    node_await "$id" "$id" "$timeout"
    say "node $id of kafka \`$name\` is up"
  done
}

service_stop() {
  select_nodes "$@"
  lock "$name"
  nodes_stop
}

service_kill() {
  select_nodes "$@"
  [[ -n "$node" ]] || misuse "\`kill\` needs a node" "name one: $(nodes | xargs)"
  process_signal "$(record "$node")" "$signal" ||
    fail "node $node of kafka \`$name\` does not run" "start it: scripts/services start kafka $node --name $name"
  case "$signal" in
    KILL | TERM | INT) process_wait "$(record "$node")" "$timeout" || fail "node $node did not end within $timeout s" ;;
  esac
  say "sent SIG$signal to node $node of kafka \`$name\`"
}

service_down() {
  local is_kept=no names=kafka each
  [[ "$everything" == no ]] || names="$(instances kafka)"
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --name) need_value "$@" && names="$2" && shift 2 ;;
      --keep-data) is_kept=yes && shift ;;
      *) misuse "\`down\` has no \`$1\`" "see scripts/services help kafka" ;;
    esac
  done
  for each in $names; do
    down "$each"
  done
}

# Ends an instance. With its data goes also what a node would have written in good order: it is killed.
down() {
  name="$1"
  find_instance "$1"
  [[ -d "$instance" ]] || { say "kafka \`$name\` is not there"; return; }
  lock "$name"
  # An `up` that failed before it started anything leaves a folder without options.
  [[ -f "$instance/options" ]] || { remove_instance "$instance" && say "removed what was left of kafka \`$name\`"; return; }
  options_load
  if [[ "$is_kept" == yes ]]; then
    selected="$(nodes | xargs)" timeout=30
    nodes_stop
    say "kafka \`$name\` is down; its data stays in $instance"
    return
  fi
  local id
  for id in $(nodes); do
    process_signal "$(record "$id")" KILL || true
  done
  for id in $(nodes); do
    process_kill "$(record "$id")"
  done
  remove_instance "$instance"
  say "kafka \`$name\` is down"
}

service_logs() {
  local lines=100 follow=() files=() id
  local arguments=()
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --lines | -n) need_value "$@" && lines="$2" && shift 2 ;;
      --follow | -f) follow=(--follow=name --retry) && shift ;;
      *) arguments+=("$1") && shift ;;
    esac
  done
  select_nodes ${arguments[@]+"${arguments[@]}"}
  for id in $selected; do
    files+=("$(node_folder "$id")/output.log" "$(node_folder "$id")/server.log")
  done
  tail -n "$lines" ${follow[@]+"${follow[@]}"} -- "${files[@]}"
}

# Makes the folder of a new instance. The file `options` is written last: an instance without it was never there.
prepare() {
  remove_instance "$instance"
  mkdir -p "$instance/credentials" "$instance/clients"
  local count=$(($(rows | wc -l) * brokers))
  if [[ -n "$port" ]]; then
    are_free "$port" "$count" ||
      fail "ports $port to $((port + count - 1)) are not all free" "choose others, or leave --port out"
    base="$port"
  else
    base="$(free_ports "$instance" "$count")"
  fi
  if has_listener ssl; then
    certificates_make "$instance/certificates" "$user"
    (umask 077 && cat "$instance/certificates/server.key" "$instance/certificates/server.crt" \
      >"$instance/certificates/server.pem")
    (umask 077 && cat "$instance/certificates/client.key" "$instance/certificates/client.crt" \
      >"$instance/certificates/client.pem")
  fi
  if [[ -n "$mechanisms" ]]; then
    (umask 077 && random_secret >"$instance/credentials/password")
    (umask 077 && token >"$instance/credentials/token")
  fi
  clients_write
  nodes_format
  options_write
}

# A token for OAUTHBEARER that nobody has signed, good for ten years.
token() {
  local now each
  now="$(date +%s)"
  for each in '{"alg":"none"}' "{\"sub\":\"$user\",\"iat\":$now,\"exp\":$((now + 315360000))}"; do
    printf '%s' "$each" | base64 -w 0 | tr '+/' '-_' | tr -d '='
    printf .
  done
}

# Ends the selected nodes, together: each waits for the others to take over what it leads.
nodes_stop() {
  local id
  for id in $selected; do
    process_signal "$(record "$id")" CONT || continue
    process_signal "$(record "$id")" TERM || continue
  done
  for id in $selected; do
    process_stop "$(record "$id")" "$timeout"
  done
  say "stopped of kafka \`$name\`: $selected"
}

# Reads the arguments of a verb that works on one node or on all: $selected, and $node where one was named.
select_nodes() {
  name=kafka node="" signal=KILL timeout=90
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --name) need_value "$@" && name="$2" && shift 2 ;;
      --signal | -s) need_value "$@" && signal="${2#SIG}" && shift 2 ;;
      --timeout) need_value "$@" && timeout="$2" && shift 2 ;;
      [0-9]*) node="$1" && shift ;;
      *) misuse "\`$1\` is no node and no option" "see scripts/services help kafka" ;;
    esac
  done
  options_load_existing
  selected="$(nodes | xargs)"
  [[ -z "$node" ]] || nodes | grep -qx -- "$node" || fail "kafka \`$name\` has no node $node" "its nodes: $selected"
  [[ -z "$node" ]] || selected="$node"
}
