# shellcheck shell=bash
# What services share: messages, instances and their folders, values for shells and for JSON.
#
# Given by `scripts/services`: $root, the checkout; $definitions, the folder of this file; $service, the service's name.

# shellcheck source=process.sh
source "$definitions/process.sh"
# shellcheck source=ports.sh
source "$definitions/ports.sh"
# shellcheck source=certificates.sh
source "$definitions/certificates.sh"

# Where everything is kept. A relative CARGO_TARGET_DIR is one of the checkout, wherever this is called from.
target="${CARGO_TARGET_DIR:-target}"
[[ "$target" == /* ]] || target="$root/$target"
# shellcheck disable=SC2154 # $root is the caller's
readonly folder="$target/services"

# Progress. stdout is for answers.
say() {
  printf '%s\n' "$*" >&2
}

# Ends with a problem and its remedy.
fail() {
  printf 'services: %s\n' "$1" >&2
  [[ $# -lt 2 ]] || printf '  help: %s\n' "$2" >&2
  exit 1
}

# Ends because the command line is wrong.
misuse() {
  (fail "$@") || exit 2
}

# A program that has to be there.
need() {
  command -v "$1" >/dev/null || fail "\`$1\` is not installed" "install $2, and see that it is in PATH"
}

# ---- instances -------------------------------------------------------------------------------------------------------

# The names of a service's instances, running or not.
instances() {
  local options
  for options in "$folder/$1"/*/options; do
    [[ -f "$options" ]] || continue
    basename "$(dirname "$options")"
  done
}

# Finds the folder of an instance: $instance.
find_instance() {
  [[ "$1" =~ ^[a-z0-9][a-z0-9-]*$ ]] || misuse "\`$1\` is no name of an instance" "use lower-case letters, digits and -"
  instance="$folder/$service/$1"
}

# Lets one command at a time work on an instance. The lock ends with this process, however that ends.
lock() {
  mkdir -p "$folder/$service"
  exec {lock_descriptor}>"$folder/$service/.$1.lock"
  flock --wait 300 "$lock_descriptor" || fail "another command has been working on $service \`$1\` for 5 minutes" \
    "see what runs: scripts/services status $service"
}

# Removes an instance's folder, and nothing that is none.
remove_instance() {
  [[ "$1" == "$folder/$service/"?* && ! "$1" =~ /\.\.(/|$) ]] || fail "$1 is not the folder of an instance"
  rm -rf -- "$1"
}

# ---- values ----------------------------------------------------------------------------------------------------------

# Ends where an option has no argument: `need_value "$@"`, where $1 is the option and $2 would be its value.
need_value() {
  [[ $# -ge 2 ]] || misuse "$1 needs a value" "see scripts/services help $service"
}

# A string of JSON.
json() {
  local text="$1"
  text="${text//\\/\\\\}"
  text="${text//\"/\\\"}"
  text="${text//$'\n'/\\n}"
  text="${text//$'\t'/\\t}"
  printf '"%s"' "$text"
}

# A list of JSON, of elements that are JSON.
json_list() {
  local IFS=,
  printf '[%s]' "$*"
}

# An assignment that a shell takes, and also `env $(…)` and an env file where the value needs no quotes. (%q alone would put
# a backslash before each comma.)
assignment() {
  if [[ "$2" =~ ^[A-Za-z0-9_.,:/@+=-]+$ ]]; then printf '%s=%s\n' "$1" "$2"; else printf '%s=%q\n' "$1" "$2"; fi
}

# A value in a Java properties file.
property() {
  printf '%s' "${1//\\/\\\\}"
}

# A secret for an instance that lives as long as its folder.
random_secret() {
  head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}
