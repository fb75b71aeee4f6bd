// SPDX-License-Identifier: Apache-2.0
//
// race_wake.cpp - two threads on two CPUs put themselves to sleep and wake each other as fast as they can: a wakeup
// often reaches a thread that is still on its way to sleep.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "workload.hpp"

using namespace workload;

namespace {

using Word = std::atomic<std::uint32_t>;

void await_turn(Word& turn, std::uint32_t mine) {
  for (std::uint32_t now = turn; now != mine; now = turn) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, nullptr);
}

void play(Word& turn, std::uint32_t mine, std::uint64_t rounds) {
  for (std::uint64_t i = 0; i < rounds; ++i) {
    await_turn(turn, mine);
    turn = 1 - mine;
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "race_wake", "two threads wake each other back to back", {{"rounds", "20000", "turns of each"}});
  const std::uint64_t rounds = run.number("rounds");
  if (std::thread::hardware_concurrency() < 2) run.skip("needs two CPUs");
  run.wait_for_start();

  Word turn = 0;
  Tally main_tally, peer_tally;
  std::thread peer = run.spawn("peer", [&] {
    pin_to_cpu(1);
    peer_tally.begin();
    play(turn, 1, rounds);
    peer_tally.end();
  });
  pin_to_cpu(0);
  run.begin();
  main_tally.begin();
  play(turn, 0, rounds);
  main_tally.end();
  run.end();
  peer.join();

  run.did("rounds", rounds);
  run.tally("main", main_tally);
  run.tally("peer", peer_tally);
  return run.finish();
}
