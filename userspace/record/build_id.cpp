// SPDX-License-Identifier: Apache-2.0
#include "record/build_id.hpp"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>

#include <cstring>
#include <memory>

#include "base/unique_fd.hpp"

namespace kflight::record {

namespace {

struct EndElf {
  void operator()(Elf* elf) const noexcept { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, EndElf>;

// Appends the id's bytes; false: there is none in these notes.
bool find_in_notes(Elf_Data* notes, std::vector<std::byte>& id) {
  GElf_Nhdr note;
  std::size_t name_at = 0, value_at = 0;
  for (std::size_t at = 0; (at = gelf_getnote(notes, at, &note, &name_at, &value_at)) > 0;) {
    const auto* bytes = static_cast<const std::byte*>(notes->d_buf);
    const bool is_gnu = note.n_namesz == 4 && std::memcmp(bytes + name_at, "GNU", 4) == 0;
    if (!is_gnu || note.n_type != NT_GNU_BUILD_ID) continue;
    id.resize(note.n_descsz);
    std::memcpy(id.data(), bytes + value_at, id.size());
    return true;
  }
  return false;
}

std::vector<std::byte> build_id_of(Elf* elf) {
  std::vector<std::byte> id;
  std::size_t count = 0;
  if (!elf || elf_getphdrnum(elf, &count)) return id;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header) || header.p_type != PT_NOTE) continue;
    Elf_Data* notes = elf_getdata_rawchunk(elf, static_cast<std::int64_t>(header.p_offset), header.p_filesz,
                                           header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    if (notes && find_in_notes(notes, id)) break;
  }
  return id;
}

}  // namespace

std::vector<std::byte> build_id_of_file(const char* path) {
  elf_version(EV_CURRENT);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return {};
  const ElfHandle elf(elf_begin(fd.get(), ELF_C_READ, nullptr));
  return build_id_of(elf.get());
}

std::vector<std::byte> build_id_of_image(std::span<const std::byte> image) {
  elf_version(EV_CURRENT);
  const ElfHandle elf(elf_memory(const_cast<char*>(reinterpret_cast<const char*>(image.data())), image.size()));
  return build_id_of(elf.get());
}

}  // namespace kflight::record
