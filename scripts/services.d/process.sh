# shellcheck shell=bash
# Processes that outlive this script. A process is known by a record: a file with its id and with what tells it from a later
# process that got the same id, so that nothing is ever signalled but what was started here.

# What no other process has had: the machine's start, and the process's own. Fails where the process is gone. One that has
# ended and that nobody has waited for counts as gone.
process_mark() {
  local stat fields
  stat="$(cat "/proc/$1/stat" 2>/dev/null)" || return 1
  # The program's name stands in brackets and may hold anything. Behind it, the state comes first and the start 20th.
  read -ra fields <<<"${stat##*) }"
  [[ "${fields[0]}" != [ZX] ]] || return 1
  printf '%s:%s' "$(</proc/sys/kernel/random/boot_id)" "${fields[19]}"
}

# Starts a program in a folder, in a session of its own: process_start RECORD OUTPUT FOLDER PROGRAM [ARG...]
process_start() {
  local record="$1" output="$2" directory="$3" pid
  shift 3
  (
    cd "$directory" || exit
    # A descriptor that stayed open would hold the caller's locks and pipes for as long as the service runs.
    for descriptor in /dev/fd/*; do
      descriptor="${descriptor##*/}"
      ((descriptor <= 2)) || eval "exec $descriptor>&-"
    done
    exec setsid "$@" </dev/null >>"$output" 2>&1
  ) &
  pid=$!
  printf '%s %s\n' "$pid" "$(process_mark "$pid" || echo gone)" >"$record"
}

# The id of a recorded process. Fails where it does not run.
process_id() {
  local pid mark
  [[ -f "$1" ]] && read -r pid mark <"$1" && [[ "$(process_mark "$pid")" == "$mark" ]] && printf '%s' "$pid"
}

is_running() {
  process_id "$1" >/dev/null
}

# Sends a signal: process_signal RECORD SIGNAL. Fails where the process does not run.
process_signal() {
  local pid
  pid="$(process_id "$1")" && kill -s "$2" "$pid" 2>/dev/null
}

# Waits until a process has ended: process_wait RECORD SECONDS. Fails where it has not.
process_wait() {
  local end=$((SECONDS + $2))
  while is_running "$1"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# Ends a process, in good order if that goes within SECONDS: process_stop RECORD SECONDS
process_stop() {
  process_signal "$1" CONT || return 0
  process_signal "$1" TERM || return 0
  process_wait "$1" "$2" && return
  say "did not end within $2 s: killing it"
  process_kill "$1"
}

# Ends a process at once.
process_kill() {
  process_signal "$1" KILL || return 0
  process_wait "$1" 20 || fail "process $(process_id "$1") does not end"
}

# What is resident, in MiB.
process_memory() {
  awk '/^VmRSS:/ { printf "%d", $2 / 1024 }' "/proc/$1/status" 2>/dev/null || printf 0
}

# `running`, `paused` (by SIGSTOP), or `down`.
process_state() {
  local pid stat=""
  pid="$(process_id "$1" || true)"
  [[ -z "$pid" ]] || stat="$(cat "/proc/$pid/stat" 2>/dev/null || true)"
  case "${stat##*) }" in
    "") printf down ;;
    [Tt]*) printf paused ;;
    *) printf running ;;
  esac
}
