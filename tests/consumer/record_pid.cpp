// SPDX-License-Identifier: Apache-2.0
//
// record_pid.cpp - the smallest use of the library: record a process for a moment and write what happened to a file.
// Usage: record_pid PID SECONDS FILE.kfr
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <kflight/dump.hpp>
#include <kflight/flight_recorder.hpp>
#include <thread>

using namespace std::chrono_literals;

class FileSink : public kflight::ByteSink {
 public:
  explicit FileSink(const char* path) : file_(path, std::ios::binary) {}
  kflight::Result<> write(std::span<const std::byte> bytes) override {
    file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file_.flush();
    if (!file_) return kflight::Error{kflight::Errc::kIo, "writing the dump failed: is the disk full?"};
    return {};
  }

 private:
  std::ofstream file_;
};

static int fail(const kflight::Error& error) {
  std::fprintf(stderr, "record_pid: %s\n", error.what.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: record_pid PID SECONDS FILE.kfr\n");
    return 2;
  }
  kflight::FlightRecorderConfig config;
  config.target.pids = {static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10))};
  kflight::FlightRecorder recorder{config};
  if (auto started = recorder.start(); !started) return fail(started.error());
  std::this_thread::sleep_for(std::strtoul(argv[2], nullptr, 10) * 1s);

  FileSink sink{argv[3]};
  auto written = recorder.write_to(sink, {.trigger = "api", .kind = "api"});
  if (!written) return fail(written.error());
  recorder.stop();

  auto dump = kflight::Dump::open(argv[3]);
  if (!dump) return fail(dump.error());
  std::uint64_t events = 0;
  for ([[maybe_unused]] const kflight::Event& event : dump->events()) ++events;
  std::printf("%llu bytes, %llu events\n", static_cast<unsigned long long>(*written),
              static_cast<unsigned long long>(events));
  return events > 0 && dump->complete() ? 0 : 1;
}
