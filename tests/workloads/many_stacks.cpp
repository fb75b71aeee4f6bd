// SPDX-License-Identifier: Apache-2.0
//
// many_stacks.cpp - waits in as many different places: each comes through its own sequence of two functions. The
// program keeps frame pointers (CMakeLists.txt).
#include "workload.hpp"

using namespace workload;

namespace {

volatile std::uint64_t sink = 0;

void descend(std::uint64_t path, unsigned depth);

[[gnu::noinline]] void left(std::uint64_t path, unsigned depth) {
  descend(path, depth);
  sink = sink + 1;
}
[[gnu::noinline]] void right(std::uint64_t path, unsigned depth) {
  descend(path, depth);
  sink = sink + 2;
}
[[gnu::noinline]] void descend(std::uint64_t path, unsigned depth) {
  if (depth == 0) return sleep_for(1us);
  if (path & 1) {
    left(path >> 1, depth - 1);
  } else {
    right(path >> 1, depth - 1);
  }
  sink = sink + 3;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "many_stacks", "waits in many different places",
          {{"depth", "14", "calls on the way; 2^depth places"}});
  const auto depth = static_cast<unsigned>(run.number("depth"));
  const std::uint64_t places = run.clean() ? 1 : 1ull << depth;
  run.wait_for_start();
  run.begin();
  for (std::uint64_t path = 0; path < places; ++path) descend(path, depth);
  run.end();
  run.did("places", places);
  run.expect({.leaf = "timer", .chain = {"main"}, .min_percent = 0, .detector = {}});
  return run.finish();
}
