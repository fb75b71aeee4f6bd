// SPDX-License-Identifier: Apache-2.0
//
// reader.cpp - the public Dump: opens, loads everything once, hands out views.
#include <fmt/format.h>

#include <algorithm>

#include "dump/dump_contents.hpp"
#include "dump/event_range.hpp"

namespace kflight {

Result<Dump> Dump::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  KF_TRY_ASSIGN(impl->mapping, Mapping::map_file(path));
  impl->file = impl->mapping.bytes();
  KF_TRY(dump::load_contents(*impl, fmt::format("'{}'", path)));
  return Dump{std::move(impl)};
}

Result<Dump> Dump::from_bytes(std::span<const std::byte> bytes) {
  auto impl = std::make_unique<Impl>();
  impl->file = bytes;
  KF_TRY(dump::load_contents(*impl, "the dump"));
  return Dump{std::move(impl)};
}

Dump::Dump(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dump::Dump(Dump&&) noexcept = default;
Dump& Dump::operator=(Dump&&) noexcept = default;
Dump::~Dump() = default;

bool Dump::complete() const noexcept { return impl_->complete; }
std::span<const Damage> Dump::damage() const noexcept { return impl_->damage; }
const kf_dump_header& Dump::header() const noexcept { return impl_->header; }
std::uint64_t Dump::file_bytes() const noexcept { return impl_->file.size(); }
const DumpMeta& Dump::meta() const noexcept { return impl_->meta; }
const std::string& Dump::meta_json() const noexcept { return impl_->meta_json; }
std::uint64_t Dump::window_begin_ns() const noexcept { return impl_->window_begin_ns; }
std::uint64_t Dump::window_end_ns() const noexcept { return impl_->window_end_ns; }
std::span<const kf_task> Dump::tasks() const noexcept { return impl_->tasks; }
std::span<const kf_base_task> Dump::base_tasks() const noexcept { return impl_->base_tasks; }
std::span<const kf_base_lane> Dump::base_lanes() const noexcept { return impl_->base_lanes; }
std::span<const kf_open_call> Dump::open_calls() const noexcept { return impl_->open_calls; }
std::span<const kf_ctl> Dump::resolutions() const noexcept { return impl_->resolutions; }
std::span<const kf_loss> Dump::losses() const noexcept { return impl_->losses; }
std::span<const Stack> Dump::stacks() const noexcept { return impl_->stacks.stacks; }
const Stack* Dump::stack(std::uint64_t id) const noexcept {
  const auto& all = impl_->stacks.stacks;
  const auto found = std::ranges::lower_bound(all, id, {}, [](const Stack& stack) { return stack.head.id; });
  return found != all.end() && found->head.id == id && id != 0 ? &*found : nullptr;
}
std::span<const kf_mapping> Dump::mappings() const noexcept { return impl_->stacks.mappings; }
std::span<const MappedFile> Dump::files() const noexcept { return impl_->stacks.files; }
std::span<const KernelSymbol> Dump::kernel_symbols() const noexcept { return impl_->stacks.symbols; }
std::span<const std::byte> Dump::vdso() const noexcept { return impl_->stacks.vdso; }
std::span<const FdLink> Dump::fd_links() const noexcept { return impl_->fd_links; }
std::span<const kf_base_stack> Dump::base_stacks() const noexcept { return impl_->stacks.base_stacks; }
std::span<const dump::ChunkRef> Dump::chunks() const noexcept { return impl_->chunks; }

EventRange Dump::events() const {
  return EventRange{std::make_unique<EventRange::Impl>(dump::Merger{impl_->chunks, impl_->base_lanes})};
}

}  // namespace kflight
