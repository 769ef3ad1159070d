#!/usr/bin/env bash
# Builds what is given to users: the binary, what belongs beside it, and the sums of all archives.
#
#   scripts/build-release-binaries.sh [--target TRIPLE]… [--features LIST] [--profile NAME] [--target-dir DIR] [--out DIR] [--skip-check]
#
# Without --target: a static binary (musl) where this machine can build one, otherwise one for this machine's own C library, with
# the reason. NEEDS says what a binary needs of its system. --features defaults to what release binaries have: everything, with
# librdkafka and OpenSSL bundled. An archive hook-VERSION-TARGET.tar.gz holds
#
#   hook  NEEDS  README.md  LICENSE  CHANGELOG.md  completions/  man/  systemd/  docs/  apps/
#
# and is the same, byte for byte, wherever the same binary is packed: SOURCE_DATE_EPOCH is the time of the last commit.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=() features=kafka-vendored,mcp profile=release target_dir="${CARGO_TARGET_DIR:-target}" out=target/dist check=yes

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

while (($#)); do
  case "$1" in
    --target) targets+=("${2:?--target needs a triple}") && shift 2 ;;
    --features) features="${2?--features needs a list}" && shift 2 ;;
    --profile) profile="${2:?--profile needs a name}" && shift 2 ;;
    --target-dir) target_dir="${2:?--target-dir needs a directory}" && shift 2 ;;
    --out) out="${2:?--out needs a directory}" && shift 2 ;;
    --skip-check) check=no && shift ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
done

host="$(rustc -vV | sed -n 's/^host: //p')"
version="$(cargo pkgid -p hook-cli | sed 's/.*[#@]//')"
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH

note() {
  printf 'build-release-binaries: %s\n' "$*" >&2
}

# Before anything is built that would then be packed wrongly.
for tool in objdump strip sha256sum tar gzip git; do
  command -v "$tool" >/dev/null || { note "\`$tool\` is not installed (Debian: binutils, coreutils, tar, gzip, git)" && exit 1; }
done

# A target needs its standard library; a musl target, whose C parts are linked statically, its C compiler as well.
can_build() {
  [[ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]] || return 1
  [[ "$1" != *-musl || "$1" == "$host" ]] || command -v "$(c_compiler "$1")" >/dev/null
}

c_compiler() {
  local variable="CC_${1//-/_}"
  if [[ -n "${!variable:-}" ]]; then
    printf '%s' "${!variable}"
  elif [[ "$1" == "${host%%-*}"-*-musl ]]; then
    printf musl-gcc
  else
    printf '%s' "${1/-unknown/}-gcc"
  fi
}

choose_target() {
  local static="${host%%-*}-unknown-linux-musl"
  if [[ "$host" == *-linux-* ]] && can_build "$static"; then
    targets=("$static") fallback="$host"
    return
  fi
  if [[ "$host" == *-linux-* ]]; then
    note "no static binary: $static needs \`rustup target add $static\` and $(c_compiler "$static") (Debian: musl-tools)"
    note "building for $host instead, which runs where the C library is as new as this machine's"
  fi
  targets=("$host")
}

# Builds for what was chosen; where nobody asked for that target, and it does not build, for this machine.
build_chosen() {
  if ! (build "${targets[0]}"); then
    note "${targets[0]} did not build, for the reason above: building for $fallback instead"
    targets=("$fallback")
    build "$fallback"
  fi
}

build() {
  local target="$1" variable
  if ! can_build "$target"; then
    note "$target cannot be built here: it needs \`rustup target add $target\` and $(c_compiler "$target")"
    exit 1
  fi
  if [[ "$target" == *-musl ]]; then
    variable="CC_${target//-/_}"
    export "$variable=$(c_compiler "$target")"
  fi
  cargo build --locked --profile "$profile" --target "$target" --target-dir "$target_dir" \
    -p hook-cli --no-default-features --features "$features"
}

# Pages and scripts are made by the program itself, in this machine's own build of it.
accompany() {
  local stage="$1" binary="$2" shell
  mkdir -p "$stage"/{completions,man,systemd}
  cp README.md LICENSE CHANGELOG.md ARCHITECTURE.md CONTRIBUTING.md "$stage"
  cp systemd/*.service "$stage/systemd"
  # What the README points to stays where it points, and nothing comes along that is not the project's.
  git ls-files -z docs apps | tar --null -T - -cf - | tar -xf - -C "$stage"
  for shell in bash zsh fish; do
    "$binary" completions "$shell" >"$stage/completions/hook.$shell"
  done
  cargo run --locked --quiet --target-dir "$target_dir" -p xtask --no-default-features --features generate -- man "$stage/man"
}

pack() {
  local target="$1" name="hook-$version-$1" folder=release built stage
  [[ "$profile" == release ]] || folder="$profile"
  [[ "$profile" == dev ]] && folder=debug
  built="$target_dir/$target/$folder/hook"
  stage="$out/$name"
  rm -rf "$stage"
  mkdir -p "$stage"
  cp "$built" "$stage/hook"
  # The release profile strips by itself; for others this is what it does.
  is_stripped "$stage/hook" || strip "$stage/hook"
  accompany "$stage" "$(runnable "$target" "$stage/hook")"
  needs "$stage/hook" >"$stage/NEEDS"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='u+rwX,go+rX,go-w' \
    -C "$out" -cf - "$name" | gzip -n -9 >"$out/$name.tar.gz"
  rm -rf "$stage"
}

is_stripped() {
  [[ "$(objdump -t "$1" 2>/dev/null)" == *'no symbols'* ]]
}

# The binary itself where this machine can run it.
runnable() {
  local binary
  binary="$(realpath "$2")"
  if "$binary" --version >/dev/null 2>&1; then
    printf '%s' "$binary"
    return
  fi
  note "$1 does not run here: completions are made by a build for this machine"
  cargo build --locked --quiet --target-dir "$target_dir" -p hook-cli
  realpath "$target_dir/debug/hook"
}

# What the system has to bring.
needs() {
  local libraries newest
  libraries="$(objdump -p "$1" | sed -n 's/^ *NEEDED *//p' | tr '\n' ' ')"
  if [[ -z "$libraries" ]]; then
    echo "nothing: it is linked statically"
    return
  fi
  newest="$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)"
  echo "libraries: $libraries"
  echo "C library: ${newest/_/ } or newer"
}

# What a user does first, with what a user gets.
try() {
  local archive="$1" place
  place="$(mktemp -d)"
  tar -xzf "$archive" -C "$place"
  local folder="$place/$(basename "$archive" .tar.gz)"
  is_stripped "$folder/hook" || { note "the binary in $archive is not stripped" && exit 1; }
  "$folder/hook" --version
  "$folder/hook" demo >/dev/null
  for part in README.md LICENSE CHANGELOG.md NEEDS man/hook.1 systemd/hook.service completions/hook.bash docs/guides/systemd.md; do
    [[ -s "$folder/$part" ]] || { note "$part is missing in $archive" && exit 1; }
  done
  sed 's/^/  /' "$folder/NEEDS"
  rm -rf "$place"
}

fallback=""
((${#targets[@]})) || choose_target
mkdir -p "$out"
rm -f "$out"/hook-*.tar.gz "$out/SHA256SUMS"
[[ -z "$fallback" ]] || build_chosen
for target in "${targets[@]}"; do
  build "$target"
  pack "$target"
  if [[ "$check" == yes && "${target%%-*}" == "${host%%-*}" ]]; then
    try "$out/hook-$version-$target.tar.gz"
  fi
done
(cd "$out" && sha256sum hook-*.tar.gz >SHA256SUMS && sha256sum --check SHA256SUMS)
ls -l "$out"
