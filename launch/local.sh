#!/usr/bin/env bash
# One process on this machine, all of its devices: launch/local.sh [--dry-run] --config=... --workdir=...
set -euo pipefail
cd "$(dirname "$0")/.."
python=python
[ -x .venv/bin/python ] && python=.venv/bin/python
command=("$python" -m cryjax.main)
if [ "${1:-}" = --dry-run ]; then
  shift
  echo "${command[@]}" "$@"
  exit 0
fi
exec "${command[@]}" "$@"
