// SPDX-License-Identifier: Apache-2.0
//
// An ELF image that a dump brought along (the vdso), as libelf and we read it, and the names in it as the demanglers
// do. The first byte says whether the rest is an image or a name.
#include <string>

#include "fuzz/target.hpp"
#include "model/demangle.hpp"
#include "model/elf_image.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kflight;
  fuzz::Input input(data, size);
  if (input.byte() % 2) {
    (void)model::without_parameters(model::demangle(input.text(size)));
    return 0;
  }
  const auto image = model::ElfImage::of_memory(input.rest());
  if (!image) return 0;
  for (std::uint64_t offset = 0; offset < 4096; offset += 61) {
    if (const auto function = image->function_at(offset)) (void)model::demangle(function->name);
    (void)image->follows_call(offset);
    (void)image->caller_rule(offset);
    (void)image->sources_at(offset);
  }
  return 0;
}
