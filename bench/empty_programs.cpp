// SPDX-License-Identifier: Apache-2.0
//
// empty_programs.cpp - what tracing costs before it does anything: attaches programs that return at once to the
// tracepoints named on the command line, prints "ready" and keeps them until standard input ends. No tool can be cheaper
// than this on the same tracepoints.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace {

int load_empty_program() {
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  return bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "kf_empty", "GPL", program, std::size(program), nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const int program = load_empty_program();
    if (program < 0 || bpf_raw_tracepoint_open(argv[i], program) < 0) {
      std::fprintf(stderr, "empty_programs: cannot attach to '%s': %s\n", argv[i], std::strerror(errno));
      return 1;
    }
  }
  std::puts("ready");
  std::fflush(stdout);
  char ignored;
  return ::read(STDIN_FILENO, &ignored, 1) < 0 ? 1 : 0;
}
