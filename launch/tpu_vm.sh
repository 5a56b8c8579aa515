#!/usr/bin/env bash
# All hosts of a Cloud TPU slice: launch/tpu_vm.sh [--dry-run] NAME ZONE --config=... --workdir=...
# The repository is at $FOLDER (~/cryjax by default) on every host, with jax[tpu] installed; workdir and shards are
# on a disk (or mounted bucket) that all hosts share. Started again until it is done (status 75: preempted).
set -euo pipefail
run=
if [ "${1:-}" = --dry-run ]; then
  run=echo
  shift
fi
if [ $# -lt 2 ] || [[ "$1$2" == *=* ]]; then
  echo "usage: launch/tpu_vm.sh [--dry-run] NAME ZONE --config=... --workdir=..." >&2
  exit 64
fi
name=$1 zone=$2
shift 2
command="cd ${FOLDER:-cryjax} && exec python3 -m cryjax.main --distributed $(printf '%q ' "$@")"
while :; do
  status=0
  $run gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$command" || status=$?
  [ "$status" = 75 ] || exit "$status"
done
