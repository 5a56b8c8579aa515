#!/usr/bin/env bash
# Several processes of one run on this machine: launch/processes.sh [--dry-run] N --config=... --workdir=...
# On a CPU each has $DEVICES devices (1 by default); with GPUs each process gets one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
python=python
[ -x .venv/bin/python ] && python=.venv/bin/python
run=
if [ "${1:-}" = --dry-run ]; then
  run=echo
  shift
fi
if ! [[ "${1:-}" =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: launch/processes.sh [--dry-run] N --config=... --workdir=..." >&2
  exit 64
fi
n=$1
shift
port=${PORT:-$((20000 + RANDOM % 20000))}
pids=()
for ((i = 0; i < n; i++)); do
  settings=("XLA_FLAGS=${XLA_FLAGS:-} --xla_force_host_platform_device_count=${DEVICES:-1}")
  if [ "${GPUS:-}" ]; then settings=("CUDA_VISIBLE_DEVICES=$i"); fi
  $run env "${settings[@]}" "$python" -m cryjax.main "$@" \
    --coordinator_address="localhost:$port" --num_processes="$n" --process_id="$i" &
  pids+=($!)
  [ "$run" ] && wait $!
done
# one signal reaches all; the first failure is the run's
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT
status=0
for pid in "${pids[@]}"; do
  while :; do
    code=0
    wait "$pid" || code=$?
    kill -0 "$pid" 2>/dev/null || break # a trapped signal ends wait before the process ends
  done
  [ "$status" != 0 ] || status=$code
done
exit "$status"
