#!/usr/bin/env bash
# A one-node Slurm on loopback from Debian's packages, without systemd, cgroups and slurmdbd, for the cluster tests.
#
#   one_node_slurm.sh up | down | status
#
# Needs root. State lives in $ONE_NODE_SLURM (default /var/tmp/one-node-slurm); /etc/slurm/{slurm,gres}.conf become links into it, since Snakemake's
# jobstep drops SLURM_CONF before its inner srun.
set -euo pipefail

root=${ONE_NODE_SLURM:-/var/tmp/one-node-slurm}
cores=$(nproc --all) # plain nproc heeds OMP_NUM_THREADS
cpus=$((cores > 4 ? cores : 4)) # Slurm may promise more than there are; a group of four small jobs asks for four
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)
node=$(hostname -s)
port=16817
declare -A pid_file=([munged]=$root/munge/munged.pid [slurmctld]=$root/slurmctld.pid [slurmd]=$root/slurmd.pid)

is_up() { # NAME: its pid file names a living process of that name
  local pid
  pid=$(cat "${pid_file[$1]}" 2>/dev/null) || return 1
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" && $(awk '/^State/ {print $2}' "/proc/$pid/status") != Z ]]
}

install_packages() {
  command -v slurmctld slurmd sbatch munged >/dev/null && return
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >"$root/apt.log" 2>&1
}

write_config() {
  : >"$root/gres.conf"
  cat >"$root/slurm.conf" <<CONF
ClusterName=onenode
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket=$root/munge/munge.socket
CredType=cred/munge
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPidFile=${pid_file[slurmctld]}
SlurmdPidFile=${pid_file[slurmd]}
SlurmctldLogFile=$root/slurmctld.log
SlurmdLogFile=$root/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# without cgroups, memory is watched by looking every second
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
# no accounting: finished jobs must stay visible to squeue
MinJobAge=3600
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
SlurmctldTimeout=60
SlurmdTimeout=60
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=2-00:00:00 DefaultTime=01:00:00 State=UP
CONF
  mkdir -p /etc/slurm
  local name
  for name in slurm.conf gres.conf; do
    if [[ -e /etc/slurm/$name && ! -L /etc/slurm/$name ]]; then
      echo "/etc/slurm/$name is there and not ours; not touched" >&2
      exit 1
    fi
    ln -sfn "$root/$name" "/etc/slurm/$name"
  done
}

start_munged() {
  [[ -s $root/munge/munge.key ]] || (umask 077 && head -c 1024 /dev/urandom >"$root/munge/munge.key")
  rm -f "$root/munge/munge.socket" "$root/munge/munge.socket.lock"
  munged --socket="$root/munge/munge.socket" --key-file="$root/munge/munge.key" --pid-file="${pid_file[munged]}" \
    --log-file="$root/munge/munged.log" --seed-file="$root/munge/munged.seed"
}

up() {
  install -d -m 0755 "$root" "$root/state" "$root/spool" "$root/munge"
  install_packages
  is_up munged || start_munged
  if ! is_up slurmctld || ! is_up slurmd; then
    write_config
    is_up slurmctld || slurmctld -f "$root/slurm.conf"
    is_up slurmd || slurmd -f "$root/slurm.conf"
  fi
  for _ in $(seq 120); do
    [[ $(sinfo -h -o %T 2>/dev/null) =~ ^(idle|mixed|allocated)$ ]] && return
    sleep 0.5
  done
  echo "Slurm did not come up:" >&2
  tail -n 5 "$root/slurmctld.log" "$root/slurmd.log" >&2
  exit 1
}

down() {
  local name
  for name in slurmd slurmctld munged; do
    is_up $name || continue
    kill "$(<"${pid_file[$name]}")"
    # the daemons remove their pid files before they are gone
    while pgrep -x $name >/dev/null; do sleep 0.2; done
  done
}

status() {
  local name
  for name in munged slurmctld slurmd; do is_up $name && echo "$name up" || echo "$name down"; done
}

case ${1:-} in
  up | down | status) "$1" ;;
  *)
    echo "usage: $0 up|down|status" >&2
    exit 2
    ;;
esac
