# shellcheck shell=bash
# What a person, a shell or a test suite asks: what runs, and how to reach it.

service_status() {
  local as_json=no names each code=0
  names="$(instances kafka)"
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --json) as_json=yes && shift ;;
      --name) need_value "$@" && names="$2" && shift 2 ;;
      *) misuse "\`status\` has no \`$1\`" "see scripts/services help kafka" ;;
    esac
  done
  [[ -n "$names" ]] || { say "no kafka is up" && code=3; }
  for each in $names; do
    name="$each"
    options_load_existing
    are_all_running || code=3
    if [[ "$as_json" == yes ]]; then instance_json && echo; else status_text; fi
  done
  return "$code"
}

are_all_running() {
  local id
  for id in $(nodes); do
    [[ "$(process_state "$(record "$id")")" == running ]] || return
  done
}

status_text() {
  local id pid each
  printf 'kafka %s (%s)\n' "$name" "$instance"
  for id in $(nodes); do
    pid="$(process_id "$(record "$id")" || true)"
    printf '  node %s  %-8s' "$id" "$(process_state "$(record "$id")")"
    [[ -z "$pid" ]] || printf 'process %-8s %s MiB' "$pid" "$(process_memory "$pid")"
    echo
  done
  for each in $(listeners); do
    printf '  %-15s %s\n' "$each" "$(bootstrap "$each")"
  done
}

# The addresses that a client of a listener is given.
bootstrap() {
  if [[ "$1" == proxied ]]; then addresses announced; else addresses "$1"; fi
}

service_env() {
  local as_json=no listener=plaintext mechanism=""
  name=kafka
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --json) as_json=yes && shift ;;
      --name) need_value "$@" && name="$2" && shift 2 ;;
      --listener) need_value "$@" && listener="$2" && shift 2 ;;
      --mechanism) need_value "$@" && mechanism="$2" && shift 2 ;;
      *) misuse "\`env kafka\` has no \`$1\`" "see scripts/services help kafka" ;;
    esac
  done
  options_load_existing
  if [[ "$as_json" == yes ]]; then
    instance_json && echo
  else
    mechanism="$(mechanism_of "$listener" "$mechanism")"
    listener_env "$listener" "$mechanism"
  fi
}

# The mechanism to be used on a listener, the first where none is asked for. Refuses what the instance does not have.
mechanism_of() {
  local listener="$1" mechanism="$2"
  has_listener "$listener" || fail "kafka \`$name\` has no listener \`$listener\`" "it has: $(listeners | xargs)"
  [[ "$listener" == sasl_* ]] || return 0
  mechanism="${mechanism:-${mechanisms%% *}}"
  [[ " $mechanisms " == *" $mechanism "* ]] || fail "kafka \`$name\` has no mechanism \`$mechanism\`" "it has: $mechanisms"
  printf '%s' "$mechanism"
}

listener_env() {
  local listener="$1" mechanism="$2" protocol certificates="$instance/certificates"
  protocol="$(protocol "$listener")"
  assignment KAFKA_BROKERS "$(bootstrap "$listener")"
  assignment KAFKA_SECURITY_PROTOCOL "$protocol"
  [[ "$protocol" != *plaintext ]] || assignment KAFKA_ALLOW_PLAINTEXT true
  [[ "$protocol" != *ssl ]] || assignment KAFKA_TLS_CA "$certificates/ca.crt"
  if [[ "$listener" == mtls ]]; then
    assignment KAFKA_TLS_CERT "$certificates/client.crt"
    assignment KAFKA_TLS_KEY "$certificates/client.key"
  fi
  if [[ -n "$mechanism" ]]; then
    assignment KAFKA_SASL_MECHANISM "$(upper <<<"$mechanism")"
    if [[ "$mechanism" != oauthbearer ]]; then
      assignment KAFKA_SASL_USERNAME "$user"
      assignment KAFKA_SASL_PASSWORD "$(<"$instance/credentials/password")"
    fi
  fi
}

instance_json() {
  local id pid elements=() each
  printf '{"service":"kafka","name":%s,"version":%s,"folder":%s' \
    "$(json "$name")" "$(json "$(kafka_version)")" "$(json "$instance")"
  printf ',"is_running":%s' "$(are_all_running && echo true || echo false)"
  for id in $(nodes); do
    pid="$(process_id "$(record "$id")" || echo null)"
    elements+=("{\"id\":$id,\"state\":\"$(process_state "$(record "$id")")\",\"pid\":$pid,\"log\":$(json "$(node_folder "$id")/server.log")}")
  done
  printf ',"nodes":%s' "$(json_list "${elements[@]}")"
  elements=()
  for each in $(listeners); do
    elements+=("$(json "$each"):$(listener_json "$each")")
  done
  (IFS=, && printf ',"listeners":{%s}}' "${elements[*]}")
}

listener_json() {
  local certificates="$instance/certificates" each list=()
  printf '{"bootstrap":%s,"security_protocol":%s' "$(json "$(bootstrap "$1")")" "$(json "$(protocol "$1")")"
  [[ "$1" != proxied ]] || printf ',"upstream":%s' "$(json "$(addresses proxied)")"
  [[ "$(protocol "$1")" != *ssl ]] || printf ',"ca":%s' "$(json "$certificates/ca.crt")"
  [[ "$1" != mtls ]] ||
    printf ',"certificate":%s,"key":%s' "$(json "$certificates/client.crt")" "$(json "$certificates/client.key")"
  if [[ "$1" == sasl_* ]]; then
    for each in $mechanisms; do
      list+=("$(json "$(upper <<<"$each")")")
    done
    printf ',"mechanisms":%s,"username":%s,"password_file":%s' \
      "$(json_list "${list[@]}")" "$(json "$user")" "$(json "$instance/credentials/password")"
    [[ " $mechanisms " != *" oauthbearer "* ]] || printf ',"token_file":%s' "$(json "$instance/credentials/token")"
  fi
  printf '}'
}
