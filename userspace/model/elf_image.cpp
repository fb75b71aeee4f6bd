// SPDX-License-Identifier: Apache-2.0
//
// libelf and libdw do the reading. libdwfl is left out: it would ask debuginfod servers, and a dump is read offline.
#include "model/elf_image.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.hpp"

namespace kflight::model {

namespace {

struct EndElf {
  void operator()(Elf* elf) const noexcept { elf_end(elf); }
};
struct EndDwarf {
  void operator()(Dwarf* dwarf) const noexcept { dwarf_end(dwarf); }
};
struct EndCfi {
  void operator()(Dwarf_CFI* cfi) const noexcept { dwarf_cfi_end(cfi); }
};
struct Free {
  void operator()(void* memory) const noexcept { std::free(memory); }
};
using ElfHandle = std::unique_ptr<Elf, EndElf>;

struct OpenElf {
  UniqueFd fd;
  ElfHandle elf;  // after fd: closed before it
};

bool has_build_id(Elf* elf, std::span<const std::byte> wanted) {
  const void* id = nullptr;
  const auto bytes = dwelf_elf_gnu_build_id(elf, &id);
  return bytes > 0 && static_cast<std::size_t>(bytes) == wanted.size() &&
         std::memcmp(id, wanted.data(), wanted.size()) == 0;
}

OpenElf open_build(const std::string& path, std::span<const std::byte> build_id) {
  OpenElf open;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return {};  // untrusted: opening a device may act
  open.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!open.fd) return {};
  open.elf.reset(elf_begin(open.fd.get(), ELF_C_READ_MMAP, nullptr));
  if (!open.elf || elf_kind(open.elf.get()) != ELF_K_ELF || !has_build_id(open.elf.get(), build_id)) return {};
  return open;
}

std::string debug_path(std::span<const std::byte> build_id) {
  std::string digits;
  for (const std::byte byte : build_id) digits += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return fmt::format("/usr/lib/debug/.build-id/{}/{}.debug", digits.substr(0, 2), digits.substr(2));
}

struct Function {
  std::uint64_t begin = 0, end = 0;  // addresses of the image; end 0: not known
  const char* name = "";
};

void add_functions(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, std::vector<Function>& out) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (!data || header.sh_entsize == 0) return;
  const std::size_t count = std::min<std::size_t>(data->d_size / header.sh_entsize, 50'000'000);
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (!gelf_getsym(data, static_cast<int>(i), &symbol)) return;
    const int type = GELF_ST_TYPE(symbol.st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name && *name) out.push_back({symbol.st_value, symbol.st_size ? symbol.st_value + symbol.st_size : 0, name});
  }
}

void add_functions(Elf* elf, std::vector<Function>& out) {
  for (Elf_Scn* section = nullptr; elf && (section = elf_nextscn(elf, section));) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) && (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
      add_functions(elf, section, header, out);
  }
}

// Do these bytes end in a call? x86-64: E8 with a distance, or FF /2 with any operand.
bool ends_in_call(std::span<const unsigned char, 8> code) {
  if (code[3] == 0xe8) return true;
  constexpr std::size_t kShortest = 2, kLongest = 7;
  for (std::size_t length = kShortest; length <= kLongest; ++length) {
    const unsigned char* at = code.data() + code.size() - length;
    if (at[0] != 0xff || (at[1] >> 3 & 7) != 2) continue;
    const unsigned mode = at[1] >> 6, operand = at[1] & 7;
    const bool has_sib = mode != 3 && operand == 4;
    std::size_t needed = 2 + (has_sib ? 1 : 0);
    if (needed > length) continue;  // at[2] would not be there
    if (mode == 1) needed += 1;
    if (mode == 2 || (mode == 0 && operand == 5) || (mode == 0 && has_sib && (at[2] & 7) == 5)) needed += 4;
    if (needed == length) return true;
  }
  return false;
}

std::string linkage_name(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name})
    if (dwarf_attr_integrate(die, name, &attribute))
      if (const char* text = dwarf_formstring(&attribute)) return text;
  const char* plain = dwarf_diename(die);
  return plain ? plain : "";
}

// Where an inlined call was made.
void set_call_site(Dwarf_Die* unit, Dwarf_Die* inlined, SourceAt& caller) {
  Dwarf_Attribute attribute;
  Dwarf_Word file = 0, line = 0;
  Dwarf_Files* files = nullptr;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) == 0)
    caller.line = static_cast<int>(line);
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) == 0 &&
      dwarf_getsrcfiles(unit, &files, nullptr) == 0)
    if (const char* name = dwarf_filesrc(files, file, nullptr, nullptr)) caller.file = name;
}

}  // namespace

struct ElfImage::Impl {
  OpenElf main, debug;
  std::unique_ptr<Dwarf, EndDwarf> dwarf;
  std::unique_ptr<Dwarf_CFI, EndCfi> cfi;
  std::vector<Function> functions;
  bool functions_read = false, dwarf_opened = false, cfi_opened = false;

  std::optional<std::uint64_t> address_of(std::uint64_t offset) const;
  void read_functions();
  Dwarf* get_dwarf();
  bool find_unit(std::uint64_t address, Dwarf_Die& unit);
};

std::optional<std::uint64_t> ElfImage::Impl::address_of(std::uint64_t offset) const {
  std::size_t count = 0;
  if (elf_getphdrnum(main.elf.get(), &count)) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(main.elf.get(), static_cast<int>(i), &header) || header.p_type != PT_LOAD) continue;
    if (offset >= header.p_offset && offset - header.p_offset < header.p_filesz)
      return offset - header.p_offset + header.p_vaddr;
  }
  return std::nullopt;
}

void ElfImage::Impl::read_functions() {
  functions_read = true;
  add_functions(debug.elf.get(), functions);
  add_functions(main.elf.get(), functions);
  std::ranges::stable_sort(functions, {}, &Function::begin);
}

Dwarf* ElfImage::Impl::get_dwarf() {
  if (!dwarf_opened) {
    dwarf_opened = true;
    Elf* elf = debug.elf ? debug.elf.get() : main.elf.get();
    dwarf.reset(dwarf_begin_elf(elf, DWARF_C_READ, nullptr));
  }
  return dwarf.get();
}

// The compiler may have left out the table of address ranges; then the units say themselves what they hold.
bool ElfImage::Impl::find_unit(std::uint64_t address, Dwarf_Die& unit) {
  if (dwarf_addrdie(get_dwarf(), address, &unit)) return true;
  Dwarf_Off next = 0;
  std::size_t header_bytes = 0;
  for (Dwarf_Off at = 0; dwarf_nextcu(get_dwarf(), at, &next, &header_bytes, nullptr, nullptr, nullptr) == 0; at = next)
    if (dwarf_offdie(get_dwarf(), at + header_bytes, &unit) && dwarf_haspc(&unit, address) > 0) return true;
  return false;
}

ElfImage::ElfImage(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ElfImage::~ElfImage() = default;

std::unique_ptr<ElfImage> ElfImage::find(const std::string& path, std::span<const std::byte> build_id) {
  elf_version(EV_CURRENT);
  if (build_id.empty()) return nullptr;
  auto impl = std::make_unique<Impl>();
  impl->main = open_build(path, build_id);
  if (!impl->main.elf) return nullptr;
  impl->debug = open_build(debug_path(build_id), build_id);
  return std::unique_ptr<ElfImage>(new ElfImage(std::move(impl)));
}

std::unique_ptr<ElfImage> ElfImage::of_memory(std::span<const std::byte> image) {
  elf_version(EV_CURRENT);
  auto impl = std::make_unique<Impl>();
  impl->main.elf.reset(elf_memory(const_cast<char*>(reinterpret_cast<const char*>(image.data())), image.size()));
  if (!impl->main.elf || elf_kind(impl->main.elf.get()) != ELF_K_ELF) return nullptr;
  impl->dwarf_opened = impl->cfi_opened = true;  // untrusted bytes: symbol tables have to do
  return std::unique_ptr<ElfImage>(new ElfImage(std::move(impl)));
}

std::optional<FunctionAt> ElfImage::function_at(std::uint64_t offset) {
  const auto address = impl_->address_of(offset);
  if (!address) return std::nullopt;
  if (!impl_->functions_read) impl_->read_functions();
  const auto& all = impl_->functions;
  auto after = std::ranges::upper_bound(all, *address, {}, &Function::begin);
  const std::uint64_t next_begin = after == all.end() ? ~0ull : after->begin;
  // Of several names of one address the first that says it reaches this far; assembly gives no sizes.
  for (auto it = after; it != all.begin();) {
    --it;
    if (it->begin != std::prev(after)->begin) break;
    const std::uint64_t end = it->end ? it->end : next_begin;
    if (*address < end) return FunctionAt{it->name, *address - it->begin};
  }
  return std::nullopt;
}

std::vector<SourceAt> ElfImage::sources_at(std::uint64_t offset) {
  std::vector<SourceAt> out;
  const auto address = impl_->address_of(offset);
  Dwarf_Die unit;
  if (!address || !impl_->get_dwarf() || !impl_->find_unit(*address, unit)) return out;
  SourceAt at;
  if (Dwarf_Line* line = dwarf_getsrc_die(&unit, *address)) {
    const char* file = dwarf_linesrc(line, nullptr, nullptr);
    if (file) at.file = file;
    dwarf_lineno(line, &at.line);
  }
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes(&unit, *address, &scopes);
  const std::unique_ptr<Dwarf_Die, Free> hold(count > 0 ? scopes : nullptr);
  for (int i = 0; i < count; ++i) {
    const int tag = dwarf_tag(&scopes[i]);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
    at.function = linkage_name(&scopes[i]);
    out.push_back(at);
    if (tag == DW_TAG_subprogram) break;
    at = {};
    set_call_site(&unit, &scopes[i], at);
  }
  if (out.empty() && !at.file.empty()) out.push_back(at);
  return out;
}

bool ElfImage::follows_call(std::uint64_t offset) {
#if defined(__x86_64__)
  if (offset < 8) return false;
  const Elf_Data* data =
      elf_getdata_rawchunk(impl_->main.elf.get(), static_cast<std::int64_t>(offset - 8), 8, ELF_T_BYTE);
  return data && data->d_size == 8 &&
         ends_in_call(std::span<const unsigned char, 8>(static_cast<const unsigned char*>(data->d_buf), 8));
#else
  (void)offset;
  return true;
#endif
}

std::optional<CallerRule> ElfImage::caller_rule(std::uint64_t offset) {
  const auto address = impl_->address_of(offset);
  if (!address) return std::nullopt;
  if (!impl_->cfi_opened) {
    impl_->cfi_opened = true;
    impl_->cfi.reset(dwarf_getcfi_elf(impl_->main.elf.get()));
  }
  Dwarf_Frame* raw = nullptr;
  if (!impl_->cfi || dwarf_cfi_addrframe(impl_->cfi.get(), *address, &raw)) return std::nullopt;
  const std::unique_ptr<Dwarf_Frame, Free> frame(raw);
  constexpr unsigned kStackPointer = 7, kFramePointer = 6, kReturnAddress = 16;  // DWARF's numbers on x86-64
  Dwarf_Op* ops = nullptr;
  Dwarf_Op memory[3];
  std::size_t count = 0;
  if (dwarf_frame_register(frame.get(), kReturnAddress, memory, &ops, &count) == 0 && ops == nullptr && count == 0)
    return CallerRule{CallerRule::Kind::kNoCaller, 0};  // undefined: the first function of a thread
  if (dwarf_frame_cfa(frame.get(), &ops, &count) || count != 1 || ops[0].atom != DW_OP_bregx) return std::nullopt;
  if (ops[0].number == kFramePointer) return CallerRule{CallerRule::Kind::kFramePointer, 0};
  if (ops[0].number != kStackPointer) return std::nullopt;
  return CallerRule{CallerRule::Kind::kStackPointer, ops[0].number2};
}

}  // namespace kflight::model
