#!/usr/bin/env bash
# Several hosts in one machine: network namespaces, joined by a wire whose delay, loss and rate can be chosen.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/cluster/netns.sh [OPTION...] PROGRAM [ARGUMENT...]

Starts PROGRAM (akin) under Open MPI's mpirun, over TCP, on hosts that are network namespaces of this machine. They share
its files. When all has ended the hosts are removed. Needs root, iproute2 (ip, tc) and Open MPI (openmpi-bin).

  --hosts N        that many, called akin0, akin1, ... (2)
  --ranks N        on each of them (1)
  --delay MS       of every packet, each way (0)
  --loss PERCENT   of the packets, each way (0)
  --rate MBIT      that a host can send in a second (no limit)
  --wire KIND      kernel: a bridge, with tc netem for delay and loss, tbf for the rate; tap: a program that passes packets
                   on (wire.py, needs python3 and /dev/net/tun); auto: tap where a delay or loss is wanted and the kernel
                   has no netem
  --name NAME      of the hosts, without the number (akin)
  --linger S       once PROGRAM has ended on all hosts mpirun has so long to end too; then it is killed (10)

While it runs, `ip -n akin1 link set eth0 down` cuts a host off, and `up` joins it again. mpirun can hear of the end of a
host that is cut off no more, so it hangs, until TCP gives up.

Example: scripts/cluster/netns.sh --delay 20 --loss 1 build/release/bin/akin train --data data/fashion --out runs/fashion
Exit code: mpirun's, 137 where it was killed; 1 too where a process of PROGRAM had to be; 2 wrong use; 3 this machine lacks something.
TEXT
}

me=netns.sh
wrong() { printf '%s: %s (see --help)\n' "$me" "$1" >&2; exit 2; }
lacks() { printf '%s: %s\n' "$me" "$1" >&2; exit 3; }
say() { printf '%s: %s\n' "$me" "$1" >&2; }

hosts=2 ranks=1 delay=0 loss=0 rate=0 wire=auto name=akin linger=10
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --hosts | --ranks | --delay | --loss | --rate | --wire | --name | --linger)
      [[ -n ${2-} ]] || wrong "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift ;;
    --) shift; break ;;
    -*) wrong "no option \"$1\"" ;;
    *) break ;;
  esac
  shift
done
number='^[0-9]+([.][0-9]+)?$'
[[ $hosts =~ ^[1-9][0-9]?$ ]] || wrong "--hosts is a whole number from 1 to 99, not \"$hosts\""
[[ $ranks =~ ^[1-9][0-9]*$ ]] || wrong "--ranks is a whole number from 1, not \"$ranks\""
[[ $linger =~ ^[0-9]+$ ]] || wrong "--linger is a whole number, not \"$linger\""
for option in delay loss rate; do
  [[ ${!option} =~ $number ]] || wrong "--$option is a number, not \"${!option}\""
done
[[ $wire =~ ^(auto|kernel|tap)$ ]] || wrong "--wire is auto, kernel or tap, not \"$wire\""
[[ $name =~ ^[a-z][a-z0-9]{0,7}$ ]] || wrong "--name is a short word of small letters, not \"$name\""
(($#)) || wrong "what is to be started?"

((EUID == 0)) || lacks "network namespaces need root"
for tool in ip tc mpirun; do
  command -v "$tool" > /dev/null || lacks "$tool is not there (apt-get install iproute2 openmpi-bin)"
done
mpirun --version 2> /dev/null | grep -q 'Open MPI' || lacks "mpirun is not that of Open MPI"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
made=()

left_on() { ip netns pids "$1" 2> /dev/null || true; }
# shellcheck disable=SC2317  # by the trap
clean_up() {
  local host process
  for host in "${made[@]}"; do
    for process in $(left_on "$host"); do kill -KILL "$process" 2> /dev/null || true; done
  done
  for host in "${made[@]}"; do ip netns del "$host" 2> /dev/null || true; done
  rm -rf "$scratch"
}
trap clean_up EXIT

make_host() {
  ip netns add "$1" 2> "$scratch/why" || lacks "no network namespace $1: $(< "$scratch/why") (another run? ip netns del $1)"
  made+=("$1")
  ip -n "$1" link set lo up
}
middle=$name-wire
make_host "$middle"

# Whether the kernel has netem is known when it is asked to use it.
has_netem() { tc -n "$middle" qdisc add dev lo root netem delay 1ms 2> /dev/null && tc -n "$middle" qdisc del dev lo root; }
shaped=
[[ $delay =~ ^0+([.]0+)?$ && $loss =~ ^0+([.]0+)?$ ]] || shaped=1
limited=
[[ $rate =~ ^0+([.]0+)?$ ]] || limited=1
if [[ $wire == auto ]]; then
  wire=kernel
  [[ -z $shaped ]] || has_netem || wire=tap
  [[ $wire == kernel ]] || say "the kernel has no netem (CONFIG_NET_SCH_NETEM): wire.py delays and loses the packets"
elif [[ $wire == kernel && -n $shaped ]] && ! has_netem; then
  lacks "the kernel has no netem (CONFIG_NET_SCH_NETEM): no --delay and --loss with --wire kernel; --wire tap has them"
fi

if [[ $wire == tap ]]; then
  command -v python3 > /dev/null || lacks "--wire tap needs python3"
  [[ -c /dev/net/tun ]] || lacks "--wire tap needs /dev/net/tun (modprobe tun)"
  ip netns exec "$middle" python3 "$here/wire.py" "$hosts" "$delay" "$loss" "$rate" > "$scratch/wire" &
  wire_process=$!
  disown "$wire_process"  # it ends by a signal, of which the shell need not tell
  for ((i = 0; i < 100; ++i)); do
    grep -q ready "$scratch/wire" && break
    kill -0 "$wire_process" 2> /dev/null || lacks "wire.py ended"
    sleep 0.1
  done
else
  ip -n "$middle" link add wire type bridge 2> "$scratch/why" || lacks "no bridge: $(< "$scratch/why")"
  ip -n "$middle" link set wire up
fi
for ((i = 0; i < hosts; ++i)); do
  host=$name$i
  make_host "$host"
  if [[ $wire == tap ]]; then
    ip -n "$middle" link set "port$i" netns "$host" name eth0
  else
    ip -n "$middle" link add "port$i" type veth peer name eth0 netns "$host" 2> "$scratch/why" ||
      lacks "no veth pair: $(< "$scratch/why")"
    ip -n "$middle" link set "port$i" master wire up
  fi
  ip -n "$host" link set eth0 address "02:00:00:00:00:$(printf %02x "$i")" up
  ip -n "$host" address add "10.77.0.$((i + 1))/24" dev eth0
  if [[ $wire == kernel && -n $shaped ]]; then
    netem=(netem delay "${delay}ms" loss "$loss%" limit 100000)
    [[ -z $limited ]] || netem+=(rate "${rate}mbit")
    tc -n "$host" qdisc add dev eth0 root "${netem[@]}"
  elif [[ $wire == kernel && -n $limited ]]; then
    tc -n "$host" qdisc add dev eth0 root tbf rate "${rate}mbit" burst 64kb latency 500ms
  fi
done

# `at HOST PROGRAM...` starts it on a host, which it hears the name of; mpirun takes `on ADDRESS COMMAND` for ssh.
cat > "$scratch/at" << 'TEXT'
#!/bin/sh
host=$1 && shift
exec ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$host" "$@"
TEXT
cat > "$scratch/on" << TEXT
#!/bin/sh
host=$name\$((\${1##*.} - 1)) && shift
exec "$scratch/at" "\$host" sh -c "\$*"
TEXT
chmod +x "$scratch/at" "$scratch/on"
list=
for ((i = 0; i < hosts; ++i)); do list+=${list:+,}10.77.0.$((i + 1)):$ranks; done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"$scratch/at" "${name}0" mpirun --host "$list" -n "$((hosts * ranks))" --map-by slot --bind-to none \
  --mca plm_rsh_agent "$scratch/on" --mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include eth0 \
  --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include eth0 "$@" &
job=$!
trap 'kill -TERM "$job" 2> /dev/null || true' INT TERM

# Processes of the program on all hosts.
programs() {
  local i process comm
  for ((i = 0; i < hosts; ++i)); do
    for process in $(left_on "$name$i"); do
      read -r comm 2> /dev/null < "/proc/$process/comm" || continue
      [[ $comm =~ ^(mpirun|orted|sh|ip|unshare|hostname)$ ]] || printf '%s (%s on %s) ' "$process" "$comm" "$name$i"
    done
  done
}
begun='' gone=$SECONDS
while kill -0 "$job" 2> /dev/null; do
  sleep 0.2
  if [[ -n $(programs) ]]; then
    begun=1 gone=$SECONDS
  elif [[ -n $begun ]] && ((SECONDS - gone >= linger)); then
    say "all processes of the program have ended, mpirun has not after $linger s more: killed"
    kill -KILL "$job"
    break
  fi
done
status=0
wait "$job" 2> /dev/null || status=$?
# mpirun ends when all have, or has been killed because they have.
for ((gone = SECONDS; SECONDS - gone < linger; )); do
  [[ -n $(programs) ]] || break
  sleep 0.2
done
left=$(programs)
if [[ -n $left ]]; then
  say "still there $linger s after mpirun's end: $left; killed"
  ((status)) || status=1
fi
exit "$status"
