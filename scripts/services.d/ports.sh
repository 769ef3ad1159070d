# shellcheck shell=bash
# Ports on loopback. They are taken below the range from which the system gives ports to outgoing connections: a node that
# was killed would otherwise find its port taken when it is started again.

readonly ports_per_instance=32

# Whether nobody listens on a port.
is_free() {
  ! (exec {probe}<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The first of COUNT free ports that no other instance has: free_ports FOLDER COUNT
# The folder of an instance keeps its ports for as long as it exists, running or not.
free_ports() {
  local instance="$1" count="$2" high low=10016 blocks base attempt
  ((count <= ports_per_instance)) || fail "an instance has at most $ports_per_instance ports, this one needs $count"
  read -r high _ </proc/sys/net/ipv4/ip_local_port_range
  ((high - low >= 2000)) || { low=32768 high=60000; }
  blocks=$(((high - low) / ports_per_instance))
  for ((attempt = 0; attempt < 200; attempt++)); do
    base=$((low + (RANDOM % blocks) * ports_per_instance))
    if are_free "$base" "$count" && claim "$instance" "$base"; then
      printf '%s' "$base"
      return
    fi
  done
  fail "found no $count free ports between $low and $high" "choose them: --port N"
}

# Whether COUNT ports from BASE on are free: are_free BASE COUNT
are_free() {
  local port
  for ((port = $1; port < $1 + $2; port++)); do
    is_free "$port" || return
  done
}

# Claims a block of ports by making a folder, which only one of several processes can do: claim INSTANCE BASE
claim() {
  local claim="$folder/.ports/$2"
  mkdir -p "$folder/.ports"
  if ! mkdir "$claim" 2>/dev/null; then
    # Whoever claimed it may be gone since.
    [[ ! -d "$(cat "$claim/instance" 2>/dev/null || echo /)" ]] || return 1
  fi
  printf '%s' "$1" >"$claim/instance"
}
