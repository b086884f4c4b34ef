#!/bin/bash
# A run on SLURM: sbatch deploy/slurm.sh [STAGE ...]. One Ray node a machine; the first is the head.
#SBATCH --job-name=lessonpipe
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
set -euo pipefail
source .venv/bin/activate
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_ADDRESS=$head:6379 LESSONPIPE_WORKERS=${LESSONPIPE_WORKERS:-$SLURM_NNODES}
export LESSONPIPE_STORAGE=${LESSONPIPE_STORAGE:-$PWD/.lessonpipe/storage} # a disk that all nodes see
# who has the job's token can use its Ray: a file of yours on that disk, which goes with the job
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$PWD/.lessonpipe/ray-token-$SLURM_JOB_ID
unset RAY_AUTH_TOKEN # it would win over the file
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
mkdir -p .lessonpipe
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$RAY_AUTH_TOKEN_PATH")
export RAY_USAGE_STATS_ENABLED=0 RAY_enable_metrics_collection=0 # its port asks nobody for the token
srun --nodes=1 --ntasks=1 --nodelist="$head" ray start --head --port=6379 --block &
sleep 15
if [ "$SLURM_NNODES" -gt 1 ]; then
  srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
    ray start --address="$RAY_ADDRESS" --block &
fi
sleep 15
dvc repro "$@"
