# shellcheck shell=bash
# What an instance was asked for. The file `options` of its folder holds it, a KEY=VALUE a line.

readonly user=hook
readonly all_mechanisms="plain scram-sha-256 scram-sha-512 oauthbearer"

options_reset() {
  brokers=1 tls=no mtls=no mechanisms="" proxied=no port="" base="" heap=512m settings=() timeout=90
}

# Reads the arguments of `up`.
options_parse() {
  name=kafka are_given=no
  options_reset
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --name | --timeout) ;;
      *) are_given=yes ;;
    esac
    case "$1" in
      --name) need_value "$@" && name="$2" && shift 2 ;;
      --brokers) need_value "$@" && brokers="$2" && shift 2 ;;
      --tls) tls=yes && shift ;;
      --mtls) tls=yes mtls=yes && shift ;;
      --sasl) need_value "$@" && mechanisms_parse "$2" && shift 2 ;;
      --proxied) proxied=yes && shift ;;
      --port) need_value "$@" && port="$2" && shift 2 ;;
      --heap) need_value "$@" && heap="$2" && shift 2 ;;
      --set) need_value "$@" && settings+=("$2") && shift 2 ;;
      --timeout) need_value "$@" && timeout="$2" && shift 2 ;;
      *) misuse "\`up kafka\` has no \`$1\`" "see scripts/services help kafka" ;;
    esac
  done
  find_instance "$name"
  [[ "$brokers" =~ ^[13]$ ]] || misuse "--brokers is 1 or 3, not \`$brokers\`" "a quorum of two stands no failure"
  [[ "$port" =~ ^[0-9]*$ ]] || misuse "--port is a number, not \`$port\`" "write such as --port 9092"
  [[ -z "$port" ]] || ((port >= 1024 && port <= 65500)) || misuse "--port $port is out of range" "use 1024 to 65500"
  [[ "$heap" =~ ^[0-9]+[mg]$ ]] || misuse "--heap is a size, not \`$heap\`" "write such as --heap 512m"
  [[ "$timeout" =~ ^[0-9]+$ ]] || misuse "--timeout is in seconds, not \`$timeout\`" "write such as --timeout 120"
  local setting
  for setting in ${settings[@]+"${settings[@]}"}; do
    [[ "$setting" =~ ^[a-z0-9._-]+= ]] || misuse "--set is KEY=VALUE, not \`$setting\`" "write such as --set log.retention.ms=1000"
  done
}

# Reads a list of mechanisms into $mechanisms, in the order of $all_mechanisms.
mechanisms_parse() {
  local wanted each found=()
  wanted=" ${1//,/ } "
  wanted="${wanted// all / $all_mechanisms }"
  wanted="${wanted// scram / scram-sha-256 scram-sha-512 }"
  for each in $wanted; do
    [[ " $all_mechanisms " == *" $each "* ]] || misuse "there is no mechanism \`$each\`" "choose from: $all_mechanisms, scram, all"
  done
  for each in $all_mechanisms; do
    [[ "$wanted" != *" $each "* ]] || found+=("$each")
  done
  [[ ${#found[@]} -gt 0 ]] || misuse "--sasl needs a mechanism" "choose from: $all_mechanisms, scram, all"
  mechanisms="${found[*]}"
}

# The options as lines, without the ports that were chosen.
options_lines() {
  printf '%s\n' "brokers=$brokers" "tls=$tls" "mtls=$mtls" "mechanisms=$mechanisms" "proxied=$proxied" "port=$port" "heap=$heap"
  [[ ${#settings[@]} -eq 0 ]] || printf 'set=%s\n' "${settings[@]}"
}

options_write() {
  { options_lines && echo "base=$base"; } >"$instance/options.part"
  mv "$instance/options.part" "$instance/options"
}

options_load() {
  local key value
  options_reset
  while IFS='=' read -r key value; do
    case "$key" in
      brokers | tls | mtls | mechanisms | proxied | port | heap | base) printf -v "$key" '%s' "$value" ;;
      set) settings+=("$value") ;;
    esac
  done <"$instance/options"
}

# Options of an instance that has to be there.
options_load_existing() {
  local kept="${timeout:-90}"
  find_instance "$name"
  [[ -f "$instance/options" ]] || fail "kafka \`$name\` is not there" "scripts/services up kafka --name $name"
  options_load
  timeout="$kept"
}

# Takes the options of the instance that is there, which must be those that were given.
options_compare() {
  local wanted was kept="$timeout"
  wanted="$(options_lines)"
  options_load
  timeout="$kept"
  was="$(options_lines)"
  [[ "$are_given" == no || "$wanted" == "$was" ]] ||
    fail "kafka \`$name\` is there with other options: $(grep -vxF "$wanted" <<<"$was" | xargs)" \
      "choose another --name, or remove it with all its data: scripts/services down kafka --name $name"
  artifacts_install
}
