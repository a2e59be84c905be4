#!/usr/bin/env bash
# An example to be changed: `sbatch scripts/cluster/slurm.sh` trains on two nodes with two ranks each. Folders must be such
# as all nodes see. SIGTERM comes two minutes before the time is over: the run keeps a checkpoint, and the same job goes on.
#SBATCH --job-name=akin
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
# With a card for each rank: #SBATCH --gpus-per-task=1, and --device cuda below.
set -euo pipefail
data=${DATA:?folder of the data set}
out=${OUT:?run folder}
resume=()
[[ -e $out/checkpoint.safetensors ]] && resume=(--resume)
# `srun --mpi=list` says what this Slurm can start MPI with. The number of slices is that of the first run, whatever the
# number of ranks is now.
exec srun --mpi="${MPI:-pmix}" --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  akin train --data "$data" --arch resnet20 --batch 512 --slices 4 --threads "${SLURM_CPUS_PER_TASK:-1}" --out "$out" "${resume[@]}"
