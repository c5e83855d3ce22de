#!/bin/bash
# One command on all workers of a TPU VM that is there already, their logs, and how it ended. Makes and deletes nothing.
#
#   launch/tpu_pod.sh [--dry-run] [--dir=onemask] [--logs=DIR] NAME ZONE COMMAND...
#   launch/tpu_pod.sh pod us-east5-a python train.py --config=configs/bert_large.py --workdir=gs://BUCKET/large --coordinator=auto
#
# --dir is this tree on the workers, below the home directory; --logs a folder here, tpu_logs/NAME-TIME by default.
# Ends with the worst exit code of the workers; the same command goes on from the last checkpoint (docs/pods.md).
set -euo pipefail
usage() { sed -n '4,7s/^# \{0,3\}//p' "$0" >&2; exit 2; }

dry='' dir=onemask logs=''
while [[ ${1:-} == --* ]]; do
  case $1 in
    --dry-run) dry=1 ;;
    --dir=?*) dir=${1#*=} ;;
    --logs=?*) logs=${1#*=} ;;
    *) usage ;;
  esac
  shift
done
[[ $# -ge 3 ]] || usage
name=$1 zone=$2
shift 2
again=(launch/tpu_pod.sh "--dir=$dir" "$name" "$zone" "$@")
logs=${logs:-tpu_logs/$name-$(date +%Y%m%d-%H%M%S)}

printf -v quoted ' %q' "$@"
# What ssh returns says nothing of one worker among many, so each says it in its log.
inside="cd $(printf %q "$dir") &&$quoted; code=\$?; echo \"exit code \$code\"; exit \$code"
ssh=(gcloud compute tpus tpu-vm ssh "$name" "--zone=$zone" --worker=all "--command=$inside" "--output-directory=$logs")
if [[ $dry ]]; then
  printf 'mkdir -p %q\n' "$logs"
  printf '%q ' "${ssh[@]}"
  echo
  exit 0
fi
command -v gcloud >/dev/null || { echo 'gcloud is missing: https://cloud.google.com/sdk/docs/install' >&2; exit 6; }
mkdir -p "$logs"
echo "logs: $logs/WORKER.log"
status=0
"${ssh[@]}" || status=$?

worst=0 shown=0
for log in "$logs"/*.log; do
  [[ -e $log ]] || continue
  shown=$((shown + 1))
  code=$(sed -n 's/^exit code \([0-9]*\)$/\1/p' "$log" | tail -n 1)
  echo "worker $(basename "$log" .log): exit code ${code:-unknown, its log ends in the middle}"
  code=${code:-6}
  if ((code && code != 143)); then tail -n 5 "$log" | sed 's/^/    /'; fi
  # 143, stopped in good order, is better than any failure.
  if ((code && (worst == 0 || worst == 143))); then worst=$code; fi
done
if ((shown == 0)); then
  echo "no worker wrote a log; gcloud ended with $status" >&2
  worst=6
fi
if ((worst)); then
  printf 'to go on from the last checkpoint:\n '
  printf ' %q' "${again[@]}"
  echo
fi
exit "$worst"
