#!/bin/bash
# A SLURM of one node on this machine, to try tools.sweep --slurm against the real thing; everything lies in one folder.
#
#   sudo apt-get install slurm-wlm        (Debian 12: SLURM 22.05; brings munge)
#   sudo launch/local_slurm.sh start DIR  then, in the shell that submits: export SLURM_CONF=DIR/slurm.conf
#   sudo launch/local_slurm.sh stop DIR
#
# As root, because slurmd becomes the user who submitted. No systemd, no cgroups, no database: processes are found through
# /proc (proctrack/linuxproc), so no limit on memory or cores is enforced. DIR must be one that others cannot write.
set -euo pipefail
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
[[ $# == 2 && ($1 == start || $1 == stop) ]] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
export SLURM_CONF=$dir/slurm.conf

stop() {
  local name pid
  for name in slurmd slurmctld munged; do
    if [[ -s $dir/$name.pid ]] && pid=$(<"$dir/$name.pid") && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]]; then
      kill "$pid"
      for _ in {1..50}; do [[ -e /proc/$pid ]] || break; sleep 0.2; done
    fi
    rm -f "$dir/$name.pid"
  done
}
stop
[[ $1 == start ]] || exit 0

for program in munged slurmctld slurmd; do
  command -v $program >/dev/null || { echo "$program is missing: apt-get install slurm-wlm" >&2; exit 6; }
done
chmod 755 "$dir"
mkdir -p "$dir/state" "$dir/spool" "$dir/log"
[[ -s $dir/munge.key ]] || (umask 077; head -c 128 /dev/urandom >"$dir/munge.key")
munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
  --log-file="$dir/log/munged.log" --seed-file="$dir/munged.seed"

node=$(hostname -s)
cpus=$(nproc)
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
cat >"$SLURM_CONF" <<END
ClusterName=local
SlurmctldHost=$node
SlurmUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=60
MinJobAge=3600
NodeName=$node CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=local Nodes=$node Default=YES MaxTime=INFINITE State=UP
END

slurmctld
slurmd -N "$node"
for _ in {1..100}; do
  if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
    sinfo
    echo "export SLURM_CONF=$SLURM_CONF"
    exit 0
  fi
  sleep 0.3
done
echo "SLURM did not come up; see $dir/log" >&2
exit 6
