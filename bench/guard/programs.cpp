// SPDX-License-Identifier: Apache-2.0
//
// programs.cpp - how long the BPF programs are, as the kernel runs them: loads them as the recorder does, for a target and
// for everybody, attaches nothing, and prints per program what bpf_prog_info says and, over the translated instructions,
// the shortest and the longest way from entry to exit (calls of other functions of the program included, each loop gone
// through once, helpers and kfuncs counted as one). JSON on stdout. As root.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dump/syscalls.hpp"
#include "record/loader.hpp"
#include "record/timer_functions.hpp"
#include "record/triggers.hpp"

namespace {

using namespace kflight;

[[noreturn]] void fail(const std::string& why) {
  fmt::print(stderr, "guard_programs: {}\n", why);
  std::exit(1);
}

// Ways through a program, in instructions. Recursive: a program is a few thousand of them.
class Ways {
 public:
  struct Lengths {
    std::uint64_t shortest, longest;
  };

  Ways(const std::vector<bpf_insn>& code, bool jited) : code_(code), jited_(jited), known_(code.size()), open_(code.size()) {}

  // From there to the exit; nothing when all ways lead back into a loop.
  std::optional<Lengths> from(std::size_t at) {
    if (at >= code_.size() || open_[at]) return std::nullopt;
    if (known_[at]) return known_[at];
    open_[at] = true;
    const std::optional<Lengths> ways = after(at);
    open_[at] = false;
    return known_[at] = ways;
  }

 private:
  std::optional<Lengths> after(std::size_t at) {
    const bpf_insn& insn = code_[at];
    const int type = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
    if (type != BPF_JMP && type != BPF_JMP32) return plus(1, from(at + (insn.code == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1)));
    if (op == BPF_EXIT) return Lengths{1, 1};
    if (op == BPF_CALL) {
      if (insn.src_reg != BPF_PSEUDO_CALL) return plus(1, from(at + 1));
      // Once a program is compiled, the kernel shows where a call goes in another field.
      const auto callee = from(at + 1 + static_cast<std::size_t>(jited_ ? insn.off : insn.imm));
      const auto rest = plus(1, from(at + 1));
      if (!callee || !rest) return std::nullopt;
      return Lengths{callee->shortest + rest->shortest, callee->longest + rest->longest};
    }
    const auto taken = from(at + 1 + static_cast<std::size_t>(type == BPF_JMP32 && op == BPF_JA ? insn.imm : insn.off));
    if (op == BPF_JA) return plus(1, taken);
    const auto passed = from(at + 1);
    if (!taken || !passed) return plus(1, taken ? taken : passed);
    return Lengths{1 + std::min(taken->shortest, passed->shortest), 1 + std::max(taken->longest, passed->longest)};
  }
  static std::optional<Lengths> plus(std::uint64_t n, std::optional<Lengths> ways) {
    if (ways) ways->shortest += n, ways->longest += n;
    return ways;
  }

  const std::vector<bpf_insn>& code_;
  bool jited_;
  std::vector<std::optional<Lengths>> known_;
  std::vector<bool> open_;  // on the way that is being followed
};

struct Program {
  std::uint64_t verified, translated, machine_bytes;
  Ways::Lengths ways;
};

// bpf_prog_info::name has room for 15 letters only.
std::string full_name(const bpf_prog_info& info, __u32 type) {
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_from_kernel_by_id(info.btf_id), btf__free);
  const btf_type* function = types ? btf__type_by_id(types.get(), type) : nullptr;
  return function ? btf__name_by_offset(types.get(), function->name_off) : info.name;
}

void add(int fd, std::map<std::string, Program>& programs) {
  bpf_prog_info sizes{};
  __u32 size = sizeof sizes;
  if (bpf_obj_get_info_by_fd(fd, &sizes, &size)) fail("asking the kernel about a program it has loaded");
  std::vector<bpf_insn> code(sizes.xlated_prog_len / sizeof(bpf_insn));
  std::vector<bpf_func_info> functions(std::max(1u, sizes.nr_func_info));
  bpf_prog_info info{};
  size = sizeof info;
  info.xlated_prog_len = sizes.xlated_prog_len;
  info.xlated_prog_insns = reinterpret_cast<std::uintptr_t>(code.data());
  info.nr_func_info = static_cast<__u32>(functions.size());
  info.func_info_rec_size = sizeof(bpf_func_info);
  info.func_info = reinterpret_cast<std::uintptr_t>(functions.data());
  if (bpf_obj_get_info_by_fd(fd, &info, &size)) fail("reading a program's instructions");
  const auto ways = Ways(code, info.jited_prog_len != 0).from(0);
  if (!ways) fail(fmt::format("no way through {}", info.name));
  programs[full_name(info, functions[0].type_id)] = {info.verified_insns, code.size(), info.jited_prog_len, *ways};
}

// All that this process has loaded.
std::map<std::string, Program> loaded_programs() {
  std::map<std::string, Program> programs;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:bpf-prog")
      add(std::atoi(entry.path().filename().c_str()), programs);
  }
  return programs;
}

std::map<std::string, Program> programs_of(kf_config config) {
  const TriggerSpec slow{"syscall>50ms"};
  const auto triggers = record::TriggerSet::compile({&slow, 1});
  if (!triggers) fail(triggers.error().what);
  triggers->fill(config);
  std::ranges::copy(record::timer_functions(), config.timer_functions);
  for (std::uint32_t nr = 0; nr < KF_SYS_TABLE; ++nr) config.sys_args[nr] = dump::args_class(nr);
  config.causes = config.follow = 1;
  config.own_tgid = static_cast<std::uint32_t>(getpid());
  config.flush_age_ns = 100'000'000;
  config.slow_floor_ns = 100'000;
  config.quick_ns = config.syscalls == KF_SYSCALLS_SLOW ? config.slow_floor_ns : 0;
  auto caps = record::read_kernel_caps();
  if (!caps) fail(caps.error().what);
  const auto loader = record::Loader::load(config, *std::move(caps), {.ring_bytes = 1 << 20, .open_calls_max = 1024});
  if (!loader) fail(loader.error().what);
  return loaded_programs();
}

}  // namespace

int main() {
  kf_config target{};
  target.syscalls = KF_SYSCALLS_SLOW;
  target.stacks = KF_STACKS_BLOCKED;
  target.stack_wait_ns = 5'000'000;
  kf_config everybody{};
  everybody.everyone = 1;
  everybody.syscalls = KF_SYSCALLS_ALL;

  const char* separator = "";
  fmt::print("{{");
  for (const auto& [config, programs] : {std::pair{"target", programs_of(target)}, {"everybody", programs_of(everybody)}})
    for (const auto& [name, p] : programs) {
      fmt::print("{}\n\"{}/{}\": {{\"verified\": {}, \"translated\": {}, \"machine_bytes\": {}, \"shortest\": {}, \"longest\": {}}}",
                 separator, config, name, p.verified, p.translated, p.machine_bytes, p.ways.shortest, p.ways.longest);
      separator = ",";
    }
  fmt::print("\n}}\n");
  return 0;
}
