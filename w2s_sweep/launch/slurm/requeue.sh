# Sourced by the batch script of every task after its process has ended: queues the task again, with more time or
# memory, where that can help. A task that is queued again keeps its id, and what depends on it keeps waiting.
# Arguments: exit status, folder of the task's files, time limit to stop at (minutes), retries for time, for memory,
# seconds between the signal and the time limit. Runs outside any container, where scontrol is.
status=$1 folder=$2 longest=$3 time_retries=$4 memory_retries=$5 notice=$6
job=$SLURM_JOB_ID
[ -n "$SLURM_ARRAY_JOB_ID" ] && job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
log=$folder/$job.requeues

minutes() { # D-HH:MM:SS, HH:MM:SS or MM:SS -> minutes; nothing for UNLIMITED
    local days=0 rest=$1
    case $rest in *-*) days=${rest%%-*} rest=${rest#*-} ;; esac
    case $rest in
        *:*:*) echo $((days * 1440 + 10#${rest%%:*} * 60 + 10#$(cut -d: -f2 <<< "$rest"))) ;;
        *:*) echo $((10#${rest%%:*})) ;;
    esac
}

again() { # reason, retries, what to change...: at most so many times for one reason
    local reason=$1 retries=$2
    shift 2
    if [ "$(grep -cs "^$reason " "$log")" -ge "$retries" ] 2> /dev/null; then
        echo "not queued again: $reason, after $retries more tries"
        return
    fi
    trap '' TERM # SLURM ends this script for the requeue; the change must still be made
    echo "$reason $*" >> "$log"
    scontrol requeue "$job" || return
    [ $# -eq 0 ] && return
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        scontrol update jobid="$job" "$@" && return
        sleep 1
    done
}

case $status in
    75) # the process saved its state because it was asked to leave
        limit=$(minutes "$(squeue --noheader --job "$job" --format=%l)")
        if [ -n "$limit" ] && [ $SECONDS -ge $((limit * 60 - notice - 70)) ]; then # the signal may come 60 s early
            more=$((2 * limit > longest ? longest : 2 * limit))
            again time "$time_retries" TimeLimit=$((more > limit ? more : limit))
        else
            again preempted 1000000
        fi
        ;;
    74) # it hung, and hydra.launcher.stall_minutes ended it
        again stalled 3
        ;;
    137) # killed: by the kernel, when memory ran out
        # Without --mem, where a site forbids it, there is nothing to ask more of.
        [ -n "$SLURM_MEM_PER_NODE" ] && again memory "$memory_retries" MinMemoryNode=$((2 * SLURM_MEM_PER_NODE))
        ;;
esac
[ "$status" -eq 0 ] || echo "$status" > "$folder/$job.status"
exit "$status"
