// SPDX-License-Identifier: Apache-2.0
//
// Addresses to functions: this very program's are known, those of a file with another build id are refused, callers
// without frame pointers are found by unwind information, kernel functions come from the dump alone.
#include "model/symbols.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <set>

#include "model/demangle.hpp"
#include "support/dump_builder.hpp"

namespace kflight::model {
namespace {

using namespace test;

constexpr kf_u32 kPid = 100;
constexpr kf_u64 kBase = 0x10000000;

struct Self {
  std::string path;
  std::vector<std::byte> build_id;
  std::uint64_t load_address = 0;
  std::uint64_t text_offset = 0, text_vaddr = 0, text_bytes = 0;

  // Where a function of this program is in its file.
  std::uint64_t offset_of(std::uint64_t address) const { return address - load_address - text_vaddr + text_offset; }
};

int read_self(dl_phdr_info* info, std::size_t, void* out) {
  auto& self = *static_cast<Self*>(out);
  self.load_address = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X)) {
      self.text_offset = header.p_offset;
      self.text_vaddr = header.p_vaddr;
      self.text_bytes = header.p_filesz;
    }
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const std::byte*>(info->dlpi_addr + header.p_vaddr);
    const auto* end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) < end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      const auto* value = at + sizeof note + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID) self.build_id.assign(value, value + note.n_descsz);
      at = value + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return 1;  // the program comes first
}

const Self& self() {
  static const Self self = [] {
    Self s;
    s.path = std::filesystem::read_symlink("/proc/self/exe");
    dl_iterate_phdr(read_self, &s);
    return s;
  }();
  return self;
}

volatile int sink = 0;

}  // namespace

// Functions to be found; not in the anonymous namespace, so that they have plain names.
struct Outer {
  static inline void* return_address = nullptr;  // of the last call of inner()
  [[gnu::noinline]] static void inner(int x) {
    return_address = __builtin_return_address(0);
    sink = sink + x;
  }
  template <class T>
  [[gnu::noinline]] static void generic(T x) {
    inner(static_cast<int>(x));
    sink = sink + 1;
  }
};

namespace {

// This program, mapped at kBase in process kPid.
DumpBuilder dump_of_self(std::span<const std::byte> build_id) {
  DumpBuilder file;
  file.mapped_file(0, self().path, build_id);
  const kf_u64 begin = kBase + self().text_offset;
  file.mappings.push_back({.tgid = kPid,
                           .file = 0,
                           .begin = begin,
                           .end = begin + self().text_bytes,
                           .offset = self().text_offset,
                           .from_ns = 50});
  return file;
}
template <class F>
kf_u64 mapped(F* function, kf_u64 plus = 1) {
  return kBase + self().offset_of(reinterpret_cast<std::uint64_t>(function)) + plus;
}

// Where inner() returns to in generic<long>().
kf_u64 mapped_caller() {
  Outer::generic(2L);
  return kBase + self().offset_of(reinterpret_cast<std::uint64_t>(Outer::return_address));
}

std::vector<std::string> names(const ResolvedStack& stack) {
  std::vector<std::string> out;
  for (const Frame& frame : stack.frames)
    if (frame.address != 0) out.push_back(frame_name(frame));
  return out;
}

TEST(Symbols, FunctionsOfThisProgram) {
  ASSERT_FALSE(self().build_id.empty());
  DumpBuilder file = dump_of_self(self().build_id);
  file.stack(1, kPid, {mapped(&Outer::inner), mapped_caller()});
  Symbolizer symbols(file.dump());
  const ResolvedStack& stack = symbols.resolve(1, 60);
  EXPECT_EQ(names(stack),
            (std::vector<std::string>{"kflight::model::Outer::inner", "void kflight::model::Outer::generic<long>"}));
  EXPECT_EQ(stack.frames.back().module, std::filesystem::path(self().path).filename());
  EXPECT_FALSE(stack.truncated);
}

TEST(Symbols, OtherBuildIdIsRefused) {
  auto other = self().build_id;
  other.back() ^= std::byte{1};
  DumpBuilder file = dump_of_self(other);
  const kf_u64 address = mapped(&Outer::inner);
  file.stack(1, kPid, {address});
  Symbolizer symbols(file.dump());
  const Frame& frame = symbols.resolve(1, 60).frames.at(0);
  EXPECT_TRUE(frame.function.empty());
  EXPECT_EQ(frame_text(frame), fmt::format("unit_model+0x{:x}", address - kBase));
}

TEST(Symbols, FileWithoutBuildIdIsNotOpened) {
  DumpBuilder file = dump_of_self({});
  file.stack(1, kPid, {mapped(&Outer::inner)});
  Symbolizer symbols(file.dump());
  EXPECT_TRUE(symbols.resolve(1, 60).frames.at(0).function.empty());
}

TEST(Symbols, FileThatIsGoneOrNoFileAtAll) {
  for (const char* path : {"/nonexistent/program", "/dev/zero", "/", "", "\x1b[31m"}) {
    DumpBuilder file;
    file.mapped_file(0, path, self().build_id);
    file.mappings.push_back({.tgid = kPid, .file = 0, .begin = kBase, .end = kBase + 4096, .offset = 0});
    file.stack(1, kPid, {kBase + 5});
    Symbolizer symbols(file.dump());
    const std::string text = frame_text(symbols.resolve(1, 60).frames.at(0));
    EXPECT_TRUE(text.ends_with("+0x5")) << text;
    EXPECT_EQ(text.find('\x1b'), text.npos);
  }
}

TEST(Symbols, StackThatIsNotInTheDump) {
  DumpBuilder file;
  Symbolizer symbols(file.dump());
  EXPECT_TRUE(symbols.resolve(77, 1).frames.empty());
  EXPECT_TRUE(symbols.resolve(0, 1).frames.empty());
}

// A process runs another program from 100 on, at the same addresses.
TEST(Symbols, MappingOfThatTime) {
  DumpBuilder file;
  file.mapped_file(0, "/old", {}).mapped_file(1, "/new", {});
  file.mappings.push_back({.tgid = kPid, .file = 0, .begin = 0x1000, .end = 0x2000, .from_ns = 50, .until_ns = 100});
  file.mappings.push_back({.tgid = kPid, .file = 1, .begin = 0x1000, .end = 0x2000, .from_ns = 100});
  for (kf_u64 id = 1; id <= 3; ++id) file.stack(id, kPid, {0x1004});
  Symbolizer symbols(file.dump());
  EXPECT_EQ(symbols.resolve(1, 10).frames.at(0).module, "old");  // before anybody looked
  EXPECT_EQ(symbols.resolve(2, 70).frames.at(0).module, "old");
  EXPECT_EQ(symbols.resolve(3, 130).frames.at(0).module, "new");
}

TEST(Symbols, ChainThatLeadsToNowhereEndsThere) {
  DumpBuilder file = dump_of_self(self().build_id);
  file.stack(1, kPid, {mapped(&Outer::inner), 0x5, mapped_caller()}, {}, KF_STACK_TRUNCATED);
  Symbolizer symbols(file.dump());
  EXPECT_EQ(names(symbols.resolve(1, 60)).size(), 1u);
  EXPECT_TRUE(symbols.resolve(1, 60).truncated);
}

TEST(Symbols, AddressThatFollowsNoCallIsNoCaller) {
  DumpBuilder file = dump_of_self(self().build_id);
  file.stack(1, kPid, {mapped(&Outer::inner), mapped(&Outer::inner, 0), mapped_caller()});
  Symbolizer symbols(file.dump());
  EXPECT_EQ(names(symbols.resolve(1, 60)).size(), 1u);
}

TEST(Symbols, KernelFramesComeFromTheDump) {
  DumpBuilder file;
  file.kernel_symbol(0xffffffff81000000, 0xffffffff81000100, "__schedule")
      .kernel_symbol(0xffffffff81000100, 0xffffffff81000200, "schedule")
      .kernel_symbol(0xffffffff81000200, 0xffffffff81000300, "rwsem_down_write_slowpath")
      .kernel_symbol(0xffffffffc0000000, 0xffffffffc0000100, "ext4_sync_file", "ext4")
      .kernel_symbol(0xffffffffa0000000, 0xffffffffa0001000, "bpf_prog_1234_kf_sched_switch", "bpf");
  file.stack(1, 0,
             {0xffffffffa0000010, 0xffffffff81000010, 0xffffffff81000110, 0xffffffff81000300, 0xffffffffc0000020,
              0xffffffffd0000000});
  Symbolizer symbols(file.dump());
  const ResolvedStack& stack = symbols.resolve(1, 1);
  ASSERT_EQ(stack.frames.size(), 5u) << "the recorder's own frame is left out";
  EXPECT_EQ(frame_text(stack.frames[0]), "__schedule+0x10");
  EXPECT_EQ(frame_text(stack.frames[2]), "rwsem_down_write_slowpath+0x100") << "a return address belongs to its call";
  EXPECT_EQ(frame_text(stack.frames[3]), "ext4_sync_file+0x20 [ext4]");
  EXPECT_EQ(stack.frames[4].function, "");
  ASSERT_NE(first_telling_frame(stack), nullptr);
  EXPECT_EQ(first_telling_frame(stack)->function, "rwsem_down_write_slowpath");
}

#if defined(__x86_64__)
// sp[0] is the return address of a function that has just been entered; its own unwind information says so.
TEST(Symbols, CallerOfAFunctionWithoutFrameIsFound) {
  DumpBuilder file = dump_of_self(self().build_id);
  const kf_u64 caller = mapped_caller();
  file.stack(1, kPid, {mapped(&Outer::inner, 0)}, {kf_pack_top(0, caller), kf_pack_top(1, mapped(&Outer::inner))});
  Symbolizer symbols(file.dump());
  const auto found = names(symbols.resolve(1, 60));
  ASSERT_GE(found.size(), 2u);
  EXPECT_EQ(found[1], "void kflight::model::Outer::generic<long>");
  DumpBuilder without = dump_of_self(self().build_id);
  without.stack(1, kPid, {mapped(&Outer::inner, 0)}, {kf_pack_top(1, caller)});
  Symbolizer other(without.dump());
  EXPECT_EQ(names(other.resolve(1, 60)).size(), 1u) << "a word at another place is no return address";
}
#endif

std::vector<std::byte> own_vdso() {
  const auto* begin = reinterpret_cast<const std::byte*>(getauxval(AT_SYSINFO_EHDR));
  if (begin == nullptr) return {};
  ElfW(Ehdr) header;
  std::memcpy(&header, begin, sizeof header);
  return {begin, begin + header.e_shoff + std::size_t{header.e_shnum} * header.e_shentsize};
}

TEST(Symbols, Vdso) {
  const auto image = own_vdso();
  if (image.empty()) GTEST_SKIP() << "this kernel maps no vdso";
  const auto elf = ElfImage::of_memory(image);
  ASSERT_NE(elf, nullptr);
  std::set<std::string> found;
  for (std::uint64_t offset = 0; offset < image.size(); ++offset)
    if (const auto function = elf->function_at(offset)) found.insert(std::string(function->name));
  EXPECT_FALSE(found.empty());
}

// It comes from the dump: whatever it holds, reading it ends.
TEST(Symbols, DamagedVdsoDoesNoHarm) {
  const auto image = own_vdso();
  if (image.empty()) GTEST_SKIP() << "this kernel maps no vdso";
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    auto damaged = image;
    if (round % 2) damaged.resize(random() % damaged.size());
    for (int i = 0; i < 8 && !damaged.empty(); ++i)
      damaged[random() % std::min<std::size_t>(damaged.size(), i < 4 ? 512 : damaged.size())] = std::byte(random());
    const auto elf = ElfImage::of_memory(damaged);
    for (std::uint64_t offset = 0; elf && offset < damaged.size(); offset += 64) elf->function_at(offset);
  }
}

#if defined(__x86_64__)
TEST(Symbols, ACallIsOneWithItsWholeOperand) {
  auto image = own_vdso();
  if (image.empty()) GTEST_SKIP() << "this kernel maps no vdso";
  constexpr std::size_t kReturnsTo = 0x400;
  const auto ends_in = [&image](std::vector<unsigned char> code) {
    std::fill_n(image.begin() + kReturnsTo - 8, 8, std::byte{0x90});
    for (std::size_t i = 0; i < code.size(); ++i) image[kReturnsTo - code.size() + i] = std::byte{code[i]};
    return ElfImage::of_memory(image)->follows_call(kReturnsTo);
  };
  EXPECT_TRUE(ends_in({0xff, 0xd0}));                                // call *%rax
  EXPECT_TRUE(ends_in({0xff, 0x14, 0x25, 0x00, 0x10, 0x00, 0x00}));  // call *0x1000
  EXPECT_FALSE(ends_in({0xff, 0x14}));                               // what it calls would come behind the end
  EXPECT_FALSE(ends_in({0x90, 0x90}));
}
#endif

TEST(Symbols, FirstOwnFrame) {
  const auto frame = [](std::string function, std::string module) {
    Frame f;
    f.address = 1;
    f.function = std::move(function);
    f.module = std::move(module);
    return f;
  };
  const ResolvedStack stack{{frame("read", "libc.so.6"), frame("std::basic_filebuf", "libstdc++.so.6"),
                             frame("load", "app"), frame("main", "app")},
                            false};
  EXPECT_EQ(first_own_frame(stack)->function, "load");
  const ResolvedStack with_template{
      {frame("read", "libc.so.6"), frame("std::mutex::lock", "app"), frame("load", "app")}, false};
  EXPECT_EQ(first_own_frame(with_template)->function, "load");
  const ResolvedStack only_template{{frame("read", "libc.so.6"), frame("std::mutex::lock", "app")}, false};
  EXPECT_EQ(first_own_frame(only_template)->function, "std::mutex::lock");
  const ResolvedStack only_libc{{frame("read", "libc.so.6")}, false};
  EXPECT_EQ(first_own_frame(only_libc)->function, "read");
  EXPECT_EQ(first_own_frame({}), nullptr);
}

TEST(Demangle, Cpp) {
  EXPECT_EQ(demangle("_ZN5store5Cache3getEv"), "store::Cache::get()");
  EXPECT_EQ(demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"), "std::vector<int, std::allocator<int> >::push_back(int&&)");
  EXPECT_EQ(demangle("memcpy@@GLIBC_2.14"), "memcpy");
  EXPECT_EQ(demangle("main"), "main");
  EXPECT_EQ(demangle("_Znonsense"), "_Znonsense");
  EXPECT_EQ(demangle(""), "");
}

TEST(Demangle, Rust) {
  EXPECT_EQ(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
  EXPECT_EQ(demangle("_ZN48_$LT$std..io..Stdin$u20$as$u20$std..io..Read$GT$4read17h0123456789abcdefE"),
            "<std::io::Stdin as std::io::Read>::read");
}

// As rustc 1.95 made them.
TEST(Demangle, RustV0) {
  EXPECT_EQ(demangle("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
  EXPECT_EQ(demangle("_RINvCsjMaewn57Afh_1t6higherNCNvB2_4mains_0EB2_"), "t::higher::<t::main::{closure#1}>");
  EXPECT_EQ(demangle("_RINvCsjMaewn57Afh_1t7genericeKb0_Kca_Ka7_EB2_"), "t::generic::<str, false, '\\n', 7>");
  EXPECT_EQ(demangle("_RINvCsjMaewn57Afh_1t2tyFG_RL0_hFG_RL0_eERL0_eEOuEB2_"),
            "t::ty::<for<'a> fn(&'a u8, for<'b> fn(&'b str) -> &'b str) -> *mut ()>");
  EXPECT_EQ(
      demangle("_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeINtNtCslNYArtu3iFV_5alloc5boxed3BoxDNtNtB4_3any3AnyNt"
               "NtB4_6marker4SendEL_EECsjMaewn57Afh_1t.llvm.1697443385822230890"),
      "core::ptr::drop_in_place::<alloc::boxed::Box<dyn core::any::Any + core::marker::Send>>");
  EXPECT_EQ(demangle("_Rnonsense"), "_Rnonsense");
}

// Each type is a pair of the one before: 30 of them are 300 characters, and would be gigabytes of text.
TEST(Demangle, NamesThatGrowWithoutEnd_StayAsTheyAre) {
  const auto base_62 = [](std::size_t number) {
    constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (number == 0) return std::string("_");
    std::string out = "_";
    for (number -= 1;; number /= 62) {
      out.insert(out.begin(), kDigits[number % 62]);
      if (number < 62) return out;
    }
  };
  std::string rust = "INvC1a1f";
  std::size_t last = rust.size();
  rust += "TeeE";
  for (int i = 0; i < 30; ++i) {
    const std::size_t here = rust.size();
    rust += "TB" + base_62(last) + "B" + base_62(last) + "E";
    last = here;
  }
  rust = "_R" + rust + "E";
  EXPECT_EQ(demangle(rust), rust);
  std::string cpp = "_Z1f1AIiiE";
  for (const char digit : std::string_view("0123456789ABCDEFGHIJKLMNOPQRS")) {
    const std::string again = std::string("S") + digit + "_";
    cpp += "S_I" + again + again + "E";
  }
  EXPECT_EQ(demangle(cpp), cpp);
}

TEST(Demangle, WithoutParameters) {
  EXPECT_EQ(without_parameters("store::Cache::get()"), "store::Cache::get");
  EXPECT_EQ(without_parameters("f<int (*)(char)>(long)"), "f<int (*)(char)>");
  EXPECT_EQ(without_parameters("(anonymous namespace)::run(int)"), "(anonymous namespace)::run");
  EXPECT_EQ(without_parameters("A::operator()(int) const"), "A::operator()");
  EXPECT_EQ(without_parameters("A::operator<<(int)"), "A::operator<<");
  EXPECT_EQ(without_parameters("t::f::<fn(u8) -> (u8, u8)>"), "t::f::<fn(u8) -> (u8, u8)>");
  EXPECT_EQ(without_parameters("main"), "main");
}

}  // namespace
}  // namespace kflight::model
