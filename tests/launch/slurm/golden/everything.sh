#!/bin/bash

# Parameters
#SBATCH --account=physics
#SBATCH --array=0-5%1
#SBATCH --begin=now+7days
#SBATCH --chdir=STORE/code/USER/DIGEST
#SBATCH --constraint='a100&ib'
#SBATCH --cpus-per-task=7
#SBATCH --job-name=w2s-TOKEN-0
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=11GB
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=STORE/sweeps/sweep/jobs/submitit/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=USR2@45
#SBATCH --time=61

# setup
module load cuda
source ~/env/bin/activate
export PYTHONPATH=STORE/code/USER/DIGEST${PYTHONPATH:+:$PYTHONPATH}

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output STORE/sweeps/sweep/jobs/submitit/%A_%a_%t_log.out singularity exec 'my image.sif' python -u -m submitit.core._submit STORE/sweeps/sweep/jobs/submitit


# teardown
source STORE/code/USER/DIGEST/w2s_sweep/launch/slurm/requeue.sh $? STORE/sweeps/sweep/jobs/submitit 600 3 1 45
