#!/bin/bash

# Parameters
#SBATCH --begin=now+7days
#SBATCH --chdir=STORE/code/USER/DIGEST
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-node=1
#SBATCH --job-name=w2s-TOKEN-0
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=5GB
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=STORE/sweeps/sweep/jobs/submitit/%j_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@90
#SBATCH --time=45

# setup
export PYTHONPATH=STORE/code/USER/DIGEST${PYTHONPATH:+:$PYTHONPATH}
export W2S_GPUS=1 W2S_STAGES_PER_GPU=1

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output STORE/sweeps/sweep/jobs/submitit/%j_%t_log.out PYTHON -u -m submitit.core._submit STORE/sweeps/sweep/jobs/submitit


# teardown
source STORE/code/USER/DIGEST/w2s_sweep/launch/slurm/requeue.sh $? STORE/sweeps/sweep/jobs/submitit 1440 20 2 90
