// SPDX-License-Identifier: Apache-2.0
//
// seed_of_dump.cpp - turns a dump that gave trouble into an input of the fuzz targets (dump_input.hpp): its sections as
// they are after decompression. Usage: fuzz_seed FILE.kfr [MOST_CHUNK_BYTES] > tests/fuzz/corpus/explain/NAME
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "base/mapping.hpp"
#include "dump/section_walk.hpp"
#include "dump/unpack.hpp"
#include "fuzz/dump_input.hpp"

int main(int argc, char** argv) {
  using namespace kflight;
  if (argc < 2) return std::cerr << "usage: fuzz_seed FILE.kfr [MOST_CHUNK_BYTES]\n", 2;
  const std::size_t most_chunk_bytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : SIZE_MAX;
  const auto file = Mapping::map_file(argv[1]);
  if (!file) return std::cerr << file.error().what << '\n', 1;
  dump::SectionWalk walk(file->bytes(), sizeof(kf_dump_header));
  dump::Unpacker unpacker;
  for (auto found = walk.next(); found != dump::SectionWalk::Found::kEnd; found = walk.next()) {
    if (found != dump::SectionWalk::Found::kSection) continue;
    const auto kind = walk.header().kind;
    const auto payload = unpacker.unpack(walk.header(), walk.stored());
    if (!payload || kind == KF_SEC_INDEX || kind == KF_SEC_SCHEMA) continue;
    auto bytes = payload->bytes;
    if (kind == KF_SEC_CHUNKS) bytes = bytes.first(std::min(bytes.size(), most_chunk_bytes));
    std::cout << "KFCS" << static_cast<char>(kind) << static_cast<char>(fuzz::kStorePlain);
    std::cout.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
}
