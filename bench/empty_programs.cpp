// SPDX-License-Identifier: Apache-2.0
//
// empty_programs.cpp - what tracing costs before it does anything: attaches programs that return at once to the
// tracepoints named on the command line, prints "ready" and keeps them until standard input ends. Programs on tracepoints
// named NAME+clock read the clock once, as whoever tells when something happened has to. No tool that uses BPF can be
// cheaper than this on the same tracepoints.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>

namespace {

int load_program(bool reads_clock) {
  const bpf_insn program[] = {
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_boot_ns},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  const int skipped = reads_clock ? 0 : 1;
  return bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "kf_empty", "GPL", program + skipped, std::size(program) - skipped,
                       nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string tracepoint = argv[i];
    const bool reads_clock = tracepoint.ends_with("+clock");
    if (reads_clock) tracepoint.resize(tracepoint.rfind('+'));
    const int program = load_program(reads_clock);
    if (program < 0 || bpf_raw_tracepoint_open(tracepoint.c_str(), program) < 0) {
      std::fprintf(stderr, "empty_programs: cannot attach to '%s': %s\n", argv[i], std::strerror(errno));
      return 1;
    }
  }
  std::puts("ready");
  std::fflush(stdout);
  char ignored;
  return ::read(STDIN_FILENO, &ignored, 1) < 0 ? 1 : 0;
}
