#!/usr/bin/env bash
# Fills in launch/jobset.yaml and applies it: launch/jobset.sh [--dry-run] --config=... --workdir=/mnt/shared/runs/...
# Needs IMAGE (with cryjax[tpu] installed) and CLAIM (a shared volume, at /mnt/shared in the pods); the others have defaults.
set -euo pipefail
cd "$(dirname "$0")/.."
apply=(kubectl apply -f -)
if [ "${1:-}" = --dry-run ]; then
  apply=(cat)
  shift
fi
: "${IMAGE:?set IMAGE to a container image with cryjax in it}"
: "${CLAIM:?set CLAIM to a persistent volume claim that all pods may write}"
args=$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@")
text=$(<launch/jobset.yaml)
for setting in "NAME=${NAME:-cryjax}" "HOSTS=${HOSTS:-4}" "CHIPS=${CHIPS:-4}" "IMAGE=$IMAGE" "CLAIM=$CLAIM" \
  "ACCELERATOR=${ACCELERATOR:-tpu-v5-lite-podslice}" "TOPOLOGY=${TOPOLOGY:-4x4}" "ARGS=$args"; do
  text=${text//"\${${setting%%=*}}"/"${setting#*=}"}
done
printf '%s\n' "$text" | "${apply[@]}"
