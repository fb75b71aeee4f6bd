// SPDX-License-Identifier: Apache-2.0
#include "model/symbols.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "model/demangle.hpp"

namespace kflight::model {

namespace {

constexpr std::string_view kVdso = "[vdso]";
constexpr std::size_t kMostInlined = 32;

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == path.npos || slash + 1 == path.size() ? path : path.substr(slash + 1);
}

std::string_view without_deleted(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  return path.ends_with(kDeleted) ? path.substr(0, path.size() - kDeleted.size()) : path;
}

template <std::size_t N>
bool begins_with_one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::ranges::any_of(words, [text](std::string_view word) { return text.starts_with(word); });
}

// kflight's own programs and what calls them: at the top of every kernel stack.
bool is_recorder(std::string_view function) {
  static constexpr std::array<std::string_view, 6> kOurs = {"bpf_prog_",    "bpf_trampoline_", "bpf_trace_run",
                                                            "__bpf_trace_", "__traceiter_",    "__bpf_prog_"};
  return begins_with_one_of(function, kOurs);
}

bool is_scheduler(std::string_view function) {
  static constexpr std::array<std::string_view, 5> kScheduler = {"__schedule", "schedule", "preempt_schedule",
                                                                 "io_schedule", "__cond_resched"};
  return begins_with_one_of(function, kScheduler);
}

bool is_runtime_library(std::string_view module) {
  static constexpr std::array<std::string_view, 8> kLibraries = {
      "libc.so", "libc-", "libpthread", "ld-linux", "libstdc++.so", "libgcc_s.so", "[vdso]", "libc.musl"};
  return begins_with_one_of(module, kLibraries);
}

// Compiled into the program, written by others.
bool is_library_template(std::string_view function) {
  static constexpr std::array<std::string_view, 4> kTheirs = {"std::", "void std::", "__gnu_cxx::", "core::"};
  return begins_with_one_of(function, kTheirs);
}

}  // namespace

std::string frame_name(const Frame& frame) {
  if (!frame.function.empty()) return escape_for_terminal(without_parameters(frame.function));
  if (frame.module.empty()) return fmt::format("0x{:x}", frame.address);
  return escape_for_terminal(fmt::format("{}+0x{:x}", frame.module, frame.module_offset));
}

std::string frame_text(const Frame& frame) {
  if (frame.function.empty()) return frame_name(frame);
  const std::string function = escape_for_terminal(frame.function);
  if (!frame.file.empty())
    return fmt::format("{} at {}:{}", function, escape_for_terminal(base_name(frame.file)), frame.line);
  if (frame.is_kernel) {
    const std::string offset = fmt::format("{}+0x{:x}", function, frame.module_offset);
    return frame.module == "kernel" ? offset : fmt::format("{} [{}]", offset, escape_for_terminal(frame.module));
  }
  return fmt::format("{} ({})", function, escape_for_terminal(frame.module));
}

const ResolvedStack& Symbolizer::resolve(std::uint64_t stack_id, std::uint64_t at_ns) {
  const auto [place, is_new] = resolved_.try_emplace(stack_id);
  if (!is_new) return place->second;
  const Stack* stack = dump_.stack(stack_id);
  if (stack == nullptr) return place->second;
  place->second = (stack->head.flags & KF_STACK_USER) ? resolve_user(*stack, at_ns) : resolve_kernel(*stack);
  place->second.truncated = (stack->head.flags & KF_STACK_TRUNCATED) != 0;
  return place->second;
}

ResolvedStack Symbolizer::resolve_kernel(const Stack& stack) const {
  ResolvedStack out;
  for (std::size_t i = 0; i < stack.frames.size(); ++i) {
    Frame frame;
    frame.address = stack.frames[i];
    frame.is_kernel = true;
    frame.module = "kernel";
    const std::uint64_t inside = frame.address - (i == 0 ? 0 : 1);
    if (const KernelSymbol* symbol = find_symbol(dump_.kernel_symbols(), inside)) {
      frame.function = symbol->name;
      frame.module_offset = frame.address - symbol->begin;
      if (!symbol->module.empty()) frame.module = symbol->module;
    }
    if (out.frames.empty() && is_recorder(frame.function)) continue;
    out.frames.push_back(std::move(frame));
  }
  return out;
}

// The latest mapping of that address known at that time; one found later counts when there is none, because mappings
// are looked up only after a stack has shown up.
Symbolizer::Place Symbolizer::place_of(std::uint32_t tgid, std::uint64_t address, std::uint64_t at_ns) const {
  const auto all = dump_.mappings();
  const kf_mapping* best = nullptr;
  for (auto it = std::ranges::lower_bound(all, tgid, {}, &kf_mapping::tgid); it != all.end() && it->tgid == tgid; ++it) {
    const kf_mapping& mapping = *it;
    if (address < mapping.begin || address >= mapping.end) continue;
    const bool gone = mapping.until_ns != 0 && mapping.until_ns <= at_ns;
    if (!gone && (best == nullptr || mapping.from_ns <= at_ns)) best = &mapping;
  }
  if (best == nullptr) return {};
  const auto files = dump_.files();
  const auto file = std::ranges::lower_bound(files, best->file, {}, [](const MappedFile& f) { return f.head.number; });
  if (file == files.end() || file->head.number != best->file) return {};
  return {&*file, address - best->begin + best->offset};
}

ElfImage* Symbolizer::image_of(const MappedFile& file) {
  const auto [place, is_new] = images_.try_emplace(file.head.number);
  if (!is_new) return place->second.get();
  if (file.path == kVdso) {
    place->second = ElfImage::of_memory(dump_.vdso());
  } else {
    const auto id = std::as_bytes(std::span(file.head.build_id)).first(file.head.build_id_bytes);
    place->second = ElfImage::find(std::string(without_deleted(file.path)), id);
  }
  return place->second.get();
}

// The chain of frame pointers knows only functions that keep one. From the innermost function its file's unwind
// information leads on, as long as it counts from the stack pointer and the return address is among the words that were
// kept; from the first function with a frame pointer the chain is complete.
std::vector<std::uint64_t> Symbolizer::with_skipped_callers(const Stack& stack, std::uint64_t at_ns) {
  std::vector<std::uint64_t> out{stack.frames.front()};
  const auto rest = stack.frames.subspan(1);
  std::uint64_t at_bytes = 0;  // from the stack pointer
  while (out.size() <= KF_STACK_TOPS) {
    const Place place = place_of(stack.head.tgid, out.back(), at_ns);
    ElfImage* image = place.file == nullptr ? nullptr : image_of(*place.file);
    const auto rule = image == nullptr ? std::nullopt : image->caller_rule(place.offset - (out.size() > 1 ? 1 : 0));
    if (rule && rule->kind == CallerRule::Kind::kNoCaller) return out;
    if (!rule || rule->kind != CallerRule::Kind::kStackPointer || rule->to_frame_bytes < 8) break;
    at_bytes += rule->to_frame_bytes;
    const auto slot = (at_bytes - 8) / sizeof(kf_u64);
    const auto top = std::ranges::find_if(stack.tops, [slot](kf_u64 w) { return kf_top_offset_words(w) == slot; });
    if (top == stack.tops.end()) break;
    out.push_back(kf_top_address(*top));
  }
  // Without frame pointers the register may still hold that of a caller further up, which has been found already.
  const auto known = rest.empty() ? out.end() : std::ranges::find(out, rest.front());
  if (known != out.end()) out.erase(known, out.end());
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

// A register that holds no frame pointer leads to nowhere or to anywhere; what follows is no stack.
bool Symbolizer::may_be_caller(const Place& place) {
  if (place.file == nullptr) return false;
  ElfImage* image = image_of(*place.file);
  return image == nullptr || image->follows_call(place.offset);
}

ResolvedStack Symbolizer::resolve_user(const Stack& stack, std::uint64_t at_ns) {
  ResolvedStack out;
  if (stack.frames.empty()) return out;
  const auto addresses = with_skipped_callers(stack, at_ns);
  bool knows_mappings = false;  // nobody could look: addresses are all there is
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const Place place = place_of(stack.head.tgid, addresses[i], at_ns);
    if (i == 0) knows_mappings = place.file != nullptr;
    if (i > 0 && knows_mappings && !may_be_caller(place)) break;
    append_user(out.frames, place, addresses[i], i > 0);
  }
  return out;
}

void Symbolizer::append_user(std::vector<Frame>& out, const Place& place, std::uint64_t address, bool is_caller) {
  Frame frame;
  frame.address = address;
  if (place.file == nullptr) return out.push_back(frame);
  frame.module = place.file->path.empty() ? "anonymous memory" : base_name(without_deleted(place.file->path));
  frame.module_offset = place.offset;
  const std::uint64_t inside = place.offset - (is_caller && place.offset > 0 ? 1 : 0);
  ElfImage* image = image_of(*place.file);
  if (image == nullptr) return out.push_back(frame);
  const auto function = image->function_at(inside);
  std::vector<SourceAt> sources = image->sources_at(inside);
  if (sources.size() > kMostInlined) sources.resize(kMostInlined);
  if (sources.empty()) sources.emplace_back();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const bool outermost = i + 1 == sources.size();
    Frame one = frame;
    one.address = outermost ? address : 0;
    one.function = demangle(outermost && function ? function->name : std::string_view(sources[i].function));
    one.file = sources[i].file;
    one.line = sources[i].line;
    out.push_back(std::move(one));
  }
}

const Frame* first_telling_frame(const ResolvedStack& kernel_stack) {
  for (const Frame& frame : kernel_stack.frames)
    if (!frame.function.empty() && !is_recorder(frame.function) && !is_scheduler(frame.function)) return &frame;
  return nullptr;
}

const Frame* first_own_frame(const ResolvedStack& user_stack) {
  const Frame* first_known = nullptr;
  const Frame* first_of_program = nullptr;
  for (const Frame& frame : user_stack.frames) {
    if (frame.module.empty()) continue;
    if (first_known == nullptr) first_known = &frame;
    if (is_runtime_library(frame.module)) continue;
    if (first_of_program == nullptr) first_of_program = &frame;
    if (!is_library_template(frame.function)) return &frame;
  }
  return first_of_program != nullptr ? first_of_program : first_known;
}

}  // namespace kflight::model
