#!/bin/bash
# Slurm: sbatch examples/launch/slurm.sh [OVERRIDES...]
# One Ray node per Slurm node; the driver runs on the first one. The repository, its .venv and runs/ must be on a
# file system that all nodes share.
#SBATCH --job-name=prl_ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --output=prl_ray-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start me with sbatch}"
# shellcheck source=/dev/null
source .venv/bin/activate

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | tr ' ' '\n' | grep -v '^127\.' | head -n 1)
if [ -z "$address" ]; then
    echo "error: $head knows no address of its own but loopback ones; write its address here" >&2
    exit 1
fi

# The token keeps others on the network out of this job's cluster.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_TOKEN
# Seconds for all nodes to join. Ray's 30 are too few where Python is read from a shared file system.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600

# Starts Ray on every node, runs the command on the head, and stops Ray again.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$address:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-64}" --num-gpus="${SLURM_GPUS_ON_NODE:-8}" --disable-usage-stats \
    -- python -m prl_ray.train +cluster=multi_node runs_dir="$PWD/runs" "$@"
