# shellcheck shell=bash
# A node: its folder, its storage, its process, and whether it answers.

node_folder() {
  printf '%s/nodes/%s' "$instance" "$1"
}

# What its process is known by.
record() {
  printf '%s/process' "$(node_folder "$1")"
}

# What every Java of ours is given, a line each.
java_arguments() {
  printf '%s\n' -XX:+UseSerialGC -Djava.awt.headless=true -cp "$(jars)/*"
}

# Makes the storage of all nodes, which share an id of their cluster.
nodes_format() {
  local cluster id pids=() users=() mechanism arguments
  cluster="$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB')"
  for mechanism in $mechanisms; do
    [[ "$mechanism" == scram-* ]] || continue
    users+=(--add-scram "$(upper <<<"$mechanism")=[name=$user,password=$(<"$instance/credentials/password")]")
  done
  mapfile -t arguments < <(java_arguments)
  for id in $(nodes); do
    mkdir -p "$(node_folder "$id")"
    cp "$definitions/kafka/broker-log.properties" "$(node_folder "$id")/log.properties"
    (umask 077 && node_settings "$id" >"$(node_folder "$id")/server.properties")
    (
      cd "$(node_folder "$id")" || exit
      "$java" -Xmx128m -XX:TieredStopAtLevel=1 "${arguments[@]}" \
        -Dservices.log=format.log -Dlog4j2.configurationFile=log.properties kafka.tools.StorageTool format --config server.properties --cluster-id "${cluster%%=*}" \
        ${users[@]+"${users[@]}"} >format.output 2>&1
    ) &
    pids+=($!)
  done
  for id in $(nodes); do
    wait "${pids[id - 1]}" ||
      fail "the storage of node $id could not be made: $(format_trouble "$id")" "all it said: $(node_folder "$id")/format.output"
  done
}

# The line of the output that says why, before or among those of a Java stack.
format_trouble() {
  local output
  output="$(node_folder "$1")/format.output"
  grep -m 1 -E 'Exception|Error' "$output" || tail -n 1 "$output"
}

node_start() {
  local id="$1" arguments
  mapfile -t arguments < <(java_arguments)
  process_start "$(record "$id")" "$(node_folder "$id")/output.log" "$(node_folder "$id")" \
    "$java" "-Xmx$heap" -XX:+ExitOnOutOfMemoryError "${arguments[@]}" \
    -Dservices.log=server.log -Dlog4j2.configurationFile=log.properties kafka.Kafka server.properties
}

# Waits until a node answers a request for metadata with these nodes in it: node_await NODE NODES SECONDS
node_await() {
  local id="$1" wanted="$2" end=$((SECONDS + $3)) each known
  while true; do
    known=" $(known_nodes "$(port_of plaintext "$id")" | xargs) "
    for each in $wanted; do
      [[ "$known" == *" $each "* ]] || { known=""; break; }
    done
    [[ -z "$known" ]] || return 0
    is_running "$(record "$id")" || node_fail "$id" "ended before it answered"
    ((SECONDS < end)) || node_fail "$id" "is $(process_state "$(record "$id")") and did not answer within $3 s"
    sleep 0.1
  done
}

node_fail() {
  local log
  for log in output.log server.log; do
    [[ -s "$(node_folder "$1")/$log" ]] || continue
    say "---- the end of $(node_folder "$1")/$log"
    tail -n 30 "$(node_folder "$1")/$log" >&2
  done
  fail "node $1 of kafka \`$name\` $2" "the log above says why; scripts/services down kafka --name $name removes everything"
}

# The ids of the nodes that the one behind a port knows to be there: known_nodes PORT
#
# This is Kafka's own protocol: a Metadata request of version 4 for no topic. A tool of Kafka's would ask the same, and
# take two seconds of a core each time.
known_nodes() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
    # length 15; api 3, version 4, correlation 1, no client id; no topics, none to be made
    printf '\x00\x00\x00\x0f\x00\x03\x00\x04\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00\x00' >&3
    read_bytes 4
    length="$(number 0)"
    [[ "$length" =~ ^[0-9]+$ ]] && ((length >= 12 && length < 65536)) || exit
    read_bytes "$length"
    # correlation, throttle time, then how many nodes; each: id, host, port, rack (which may be null)
    count="$(number 8)" at=12
    for ((; count > 0; count--)); do
      number "$at"
      at=$((at + 4 + 2 + bytes[at + 4] * 256 + bytes[at + 5] + 4))
      rack=$((bytes[at] * 256 + bytes[at + 1]))
      at=$((at + 2 + (rack == 65535 ? 0 : rack)))
    done
  ) 2>/dev/null || true
}

# The next bytes of descriptor 3, as numbers in the array `bytes`.
read_bytes() {
  read -ra bytes -d '' < <(timeout 2 head -c "$1" <&3 | od -An -v -tu1) || true
  ((${#bytes[@]} == $1))
}

# The 32 bits at a place of `bytes`.
number() {
  echo $((bytes[$1] << 24 | bytes[$1 + 1] << 16 | bytes[$1 + 2] << 8 | bytes[$1 + 3]))
}
