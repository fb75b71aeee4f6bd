# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shared with bench/peers.sh, which sources this
#
# The loads of bench/peers.sh. NAME_run SCALE does a 1/SCALE of the usual number of operations, which takes about a
# second, and prints the seconds and that number. NAME_load does the same without end in the background until
# NAME_unload. What is in $wrap stands before the program that is to be traced, for tracers that start it.
wrap=()
load_pids=()

# background COMMAND...: as a part of a load
background() {
  start_load "$@"
  load_pids+=("$load")
}
end_load() {
  end_loads "${load_pids[@]}"
  load_pids=()
}

# timed COUNT COMMAND...: a program that prints the seconds it took for COUNT operations
timed() {
  run "${wrap[@]}" "${@:2}" >"$temp/seconds"
  awk -v count="$1" '{ print $1, count }' "$temp/seconds"
}

# Two processes that wake each other, on one CPU.
pipe_command=(taskset -c 0 perf bench -f simple sched pipe -l)
pipe_run() { timed $((200000 / $1)) "${pipe_command[@]}" $((200000 / $1)); }
pipe_load() { background "${wrap[@]}" "${pipe_command[@]}" 1000000000 >/dev/null; }
pipe_unload() { end_load; }

# Nothing but system calls.
getppid_command=(taskset -c 0 "$build/bench/getppid_loop")
getppid_run() { timed $((5000000 / $1)) "${getppid_command[@]}" $((5000000 / $1)); }
getppid_load() { background "${wrap[@]}" "${getppid_command[@]}" 1000000000000 >/dev/null; }
getppid_unload() { end_load; }

# 320 processes, both CPUs busy.
messaging_command=(perf bench -f simple sched messaging -g 8 -l)
messaging_run() { timed $((400 / $1)) "${messaging_command[@]}" $((400 / $1)); }
messaging_load() { background "${messaging_command[@]}" 100000000 >/dev/null; }
messaging_unload() { end_load; }

# A server of one thread and 50 clients. Debian's redis-tools has the server under another name; the package of the
# right name would start a server of its own.
redis_port=$((20000 + $$ % 10000))
redis_start() {
  ln -sf "$(command -v redis-check-rdb)" "$temp/redis-server"
  background "${wrap[@]}" "$temp/redis-server" --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$temp" >/dev/null
  until redis-cli -p "$redis_port" ping >/dev/null 2>&1; do sleep 0.05; done
}
redis_clients=(redis-benchmark -p "$redis_port" -c 50 -t get --csv)
redis_run() {
  redis_start
  run "${redis_clients[@]}" -n $((100000 / $1)) >"$temp/redis"
  end_load
  awk -F '"' '$2 == "GET" { print 1, $4 }' "$temp/redis" # it tells operations per second
}
redis_load() {
  redis_start
  background "${redis_clients[@]}" -l >/dev/null
}
redis_unload() { end_load; }

# A server with a thread per request, 2,000 requests under way.
threads_command=("$build/bench/thread_server" 2000)
threads_run() { timed $((20000 / $1)) "${threads_command[@]}" $((20000 / $1)) 2>/dev/null; }
threads_load() { background "${threads_command[@]}" 100000000000 >/dev/null 2>&1; }
threads_unload() { end_load; }

# Nothing: what recording itself does. Has no run, for it has no end that could be delayed.
idle_load() { :; }
idle_unload() { :; }
