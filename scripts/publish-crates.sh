#!/usr/bin/env bash
# Publishes the crates, each after those that it depends on.
#
#   scripts/publish-crates.sh --dry-run [--list]     checks metadata, packs every crate, builds each from its package
#   scripts/publish-crates.sh --yes                  does it
#
# --list shows the files of each package; --no-build leaves the build out of the check. Cargo leaves crates with `publish = false` out
# of what others are packed with: a dry run says so, and packs a copy of the checkout in which that word is gone.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode="" list=no build=yes
for argument in "$@"; do
  case "$argument" in
    --dry-run) mode=dry ;;
    --yes) mode=publish ;;
    --list) list=yes ;;
    --no-build) build=no ;;
    -h | --help) mode="" && break ;;
    *) echo "unknown: $argument" >&2 && exit 2 ;;
  esac
done
if [[ -z "$mode" ]]; then
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 2
fi

# Level by level: a crate comes when all that it depends on has come. What only tests use does not count.
order() {
  cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
packages = {p["name"]: p for p in json.load(sys.stdin)["packages"] if p["name"].startswith("hook-")}
ships = {n: p for n, p in packages.items() if n not in ("hook-testkit", "hook-bench")}
needs = {n: {d["name"] for d in p["dependencies"] if d["kind"] != "dev" and d["name"] in ships} for n, p in ships.items()}
done, level = set(), 0
while len(done) < len(needs):
    ready = sorted(n for n in needs if n not in done and needs[n] <= done)
    if not ready:
        sys.exit("the crates depend on each other in a circle: " + ", ".join(sorted(set(needs) - done)))
    for name in ready:
        print(level, name)
    done.update(ready)
    level += 1
'
}

# What a registry shows of a crate, and what it refuses to be without.
metadata() {
  cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, os, sys
wrong = []
for package in json.load(sys.stdin)["packages"]:
    if package["name"] not in sys.argv[1:]:
        continue
    for key, why in [("description", "required"), ("license", "required"), ("readme", "shown"), ("repository", "shown")]:
        if not package.get(key):
            wrong.append((why, package["name"], f"has no `{key}`"))
    for dependency in package["dependencies"]:
        if dependency["kind"] != "dev" and dependency.get("path") and dependency["req"] == "*":
            wrong.append(("required", package["name"], "depends on {} without a version".format(dependency["name"])))
    if package["publish"] == []:
        wrong.append(("publish", package["name"], "has `publish = false`"))
for why, name, what in wrong:
    print(f"  {why:8}  {name} {what}")
sys.exit(1 if any(why == "required" for why, _, _ in wrong) else 3 if any(why == "publish" for why, _, _ in wrong) else 0)
' "$@"
}

ordered="$(order)"
mapfile -t crates < <(sed 's/^[0-9]* //' <<<"$ordered")
echo "order, by level:"
sed 's/^/  /' <<<"$ordered"

echo "metadata:"
state=0
metadata "${crates[@]}" || state=$?
if ((state == 1)); then
  echo "what is required has to be there first" >&2
  exit 1
fi

selected=()
for crate in "${crates[@]}"; do
  selected+=(-p "$crate")
done

if [[ "$mode" == publish ]]; then
  if ((state == 3)); then
    echo "some crates have \`publish = false\`: say that they are meant for the world, in Cargo.toml" >&2
    exit 1
  fi
  # Cargo waits for each crate to be in the index before it goes on with those that need it.
  cargo publish --locked "${selected[@]}"
  exit
fi

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$place"
for crate in "${crates[@]}"; do
  sed -i 's/^publish\.workspace = true$/publish = true/' "$place/crates/$crate/Cargo.toml"
done
cd "$place"
export CARGO_TARGET_DIR="$target"

if [[ "$list" == yes ]]; then
  for crate in "${crates[@]}"; do
    echo "$crate:"
    cargo package --locked --list -p "$crate" | sed 's/^/  /'
  done
fi
verify=()
[[ "$build" == yes ]] || verify=(--no-verify)
# Together, so that each is built with the others as they are here, and not as a registry has them.
cargo package --locked "${verify[@]}" "${selected[@]}"
ls -l "$target"/package/*.crate
