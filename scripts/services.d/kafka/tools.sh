# shellcheck shell=bash
# Kafka's own command line tools, connected to an instance over any of its listeners.

# The tools that are known by the names of Kafka's scripts.
kafka_tools() {
  printf '%s\n' acls broker-api-versions configs console-consumer console-producer consumer-groups delete-records dump-log \
    get-offsets groups leader-election metadata-quorum producer-perf-test topics transactions
}

# The class of a tool; a class may be named itself.
tool_class() {
  local tools=org.apache.kafka.tools
  case "$1" in
    acls) echo $tools.AclCommand ;;
    broker-api-versions) echo $tools.BrokerApiVersionsCommand ;;
    configs) echo kafka.admin.ConfigCommand ;;
    console-consumer) echo $tools.consumer.ConsoleConsumer ;;
    console-producer) echo $tools.ConsoleProducer ;;
    consumer-groups) echo $tools.consumer.group.ConsumerGroupCommand ;;
    delete-records) echo $tools.DeleteRecordsCommand ;;
    dump-log) echo $tools.DumpLogSegments ;;
    get-offsets) echo $tools.GetOffsetShell ;;
    groups) echo $tools.GroupsCommand ;;
    leader-election) echo $tools.LeaderElectionCommand ;;
    metadata-quorum) echo $tools.MetadataQuorumCommand ;;
    producer-perf-test) echo $tools.ProducerPerformance ;;
    topics) echo $tools.TopicCommand ;;
    transactions) echo $tools.TransactionsCommand ;;
    *.*) echo "$1" ;;
    *) misuse "there is no tool \`$1\`" "choose from: $(kafka_tools | xargs), or name a class" ;;
  esac
}

service_exec() {
  local listener=plaintext mechanism=""
  name=kafka
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --name) need_value "$@" && name="$2" && shift 2 ;;
      --listener) need_value "$@" && listener="$2" && shift 2 ;;
      --mechanism) need_value "$@" && mechanism="$2" && shift 2 ;;
      *) break ;;
    esac
  done
  [[ $# -gt 0 ]] || misuse "\`exec\` needs a tool" "choose from: $(kafka_tools | xargs)"
  options_load_existing
  artifacts_check
  mechanism="$(mechanism_of "$listener" "$mechanism")"
  tool_command "$listener" "$mechanism" "$@"
  # In place of this shell, so that who ends the command ends the tool.
  exec "${command[@]}"
}

# Composes the command line of a tool in the array `command`: tool_command LISTENER MECHANISM TOOL [ARG...]
tool_command() {
  local listener="$1" mechanism="$2" tool="$3" class arguments
  class="$(tool_class "$3")"
  shift 3
  mapfile -t arguments < <(java_arguments)
  command=("$java" -Xmx256m -XX:TieredStopAtLevel=1 "${arguments[@]}"
    -Dlog4j2.configurationFile="$definitions/kafka/tool-log.properties" "$class")
  case "$tool" in
    dump-log | *.*) ;;
    *) command+=(--bootstrap-server "$(bootstrap "$listener")" --command-config "$(client_file "$listener" "$mechanism")") ;;
  esac
  command+=("$@")
}

# Runs a tool and comes back. It gets a minute.
tool() {
  tool_command "$@"
  timeout 60 "${command[@]}"
}

# Produces and consumes a record in every way that the instance offers; `proxied` needs somebody's proxy.
service_check() {
  name=kafka
  [[ "${1-}" != --name ]] || { need_value "$@" && name="$2" && shift 2; }
  [[ $# -eq 0 ]] || misuse "\`check kafka\` has no \`$1\`" "see scripts/services help kafka"
  options_load_existing
  artifacts_check
  local topic listener mechanism failed=0 passed=0 written=0
  topic="services-check-$(random_secret)"
  tool plaintext "" topics --create --topic "$topic" --partitions 1 </dev/null >/dev/null ||
    fail "could not make the topic $topic" "scripts/services status kafka --name $name"
  while read -r listener mechanism; do
    [[ "$listener" != proxied ]] || continue
    if round_trip "$topic" "$listener" "$mechanism"; then
      passed=$((passed + 1)) && echo "ok      $listener $mechanism"
    else
      failed=$((failed + 1)) && echo "FAILED  $listener $mechanism"
    fi
  done < <(ways)
  tool plaintext "" topics --delete --topic "$topic" </dev/null >/dev/null
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

# Writes a record and reads the one at its offset, of which $written is the count: round_trip TOPIC LISTENER MECHANISM
round_trip() {
  local line="$2 $3 $RANDOM" offset="$written"
  echo "$line" | tool "$2" "$3" console-producer --sync --timeout 0 --topic "$1" >/dev/null || return
  written=$((written + 1))
  [[ "$(tool "$2" "$3" console-consumer --topic "$1" --partition 0 --offset "$offset" --max-messages 1 \
    --timeout-ms 30000 </dev/null 2>"$instance/check.log")" == "$line" ]] || { cat "$instance/check.log" >&2 && return 1; }
}
