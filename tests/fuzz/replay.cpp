// SPDX-License-Identifier: Apache-2.0
//
// replay.cpp - main() of the fuzz targets for compilers without libFuzzer: every file of the given folders once, as an
// ordinary test of what has been found before. A crash names the file it is about.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/target.hpp"

namespace {

int replay(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    std::fprintf(stderr, "cannot read '%s'\n", path.c_str());
    return 1;
  }
  std::printf("%s, %zu bytes\n", path.c_str(), bytes.size());
  std::fflush(stdout);
  return LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      if (replay(entry.path()) != 0) return 1;
      ++files;
    }
  std::printf("%zu files replayed\n", files);
  return files > 0 ? 0 : 1;  // a corpus that is not there tests nothing
}
