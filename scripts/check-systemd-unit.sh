#!/usr/bin/env bash
# Asks systemd whether the unit is right, and how much it leaves open. Without systemd-analyze there is nobody to ask.
#
#   scripts/check-systemd-unit.sh [UNIT]       systemd/hook.service where none is named
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
unit="${1:-systemd/hook.service}"
# Above this, in tenths, `systemd-analyze security` no longer calls a unit "OK".
most=15

if ! command -v systemd-analyze >/dev/null; then
  echo "systemd-analyze is not here: nothing was checked (Debian: apt-get install systemd)" >&2
  exit 0
fi

place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
# The binary need not be installed where this runs.
sed "s#^ExecStart=[^ ]*#ExecStart=$(command -v true)#" "$unit" >"$place/$(basename "$unit")"
found="$(systemd-analyze verify --man=no "$place/$(basename "$unit")" 2>&1 | grep "$(basename "$unit")" || true)"
if [[ -n "$found" ]]; then
  printf '%s\n' "$found" >&2
  exit 1
fi
echo "$unit: verified"
systemd-analyze security --offline=yes --threshold=$most --no-pager "$place/$(basename "$unit")" | grep -E 'Overall|✗' || true
systemd-analyze security --offline=yes --threshold=$most --no-pager "$place/$(basename "$unit")" >/dev/null
