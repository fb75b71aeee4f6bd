// SPDX-License-Identifier: Apache-2.0
//
// dump_store.hpp - the directory dumps go to: what they are called, that only whole ones appear there, and that they do
// not fill the disk. A recorder owns the files named after it, also those of its earlier runs; it touches nothing else.
// One dump at a time; counts() from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.hpp"
#include "kflight/byte_sink.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

struct StoredDump {
  std::string path;
  std::uint64_t bytes = 0;
  std::vector<std::string> removed;  // older dumps that made room
  std::string removal_error;         // why one could not be removed; empty: nothing went wrong
};

class DumpStore {
 public:
  struct Options {
    std::string directory;
    std::string name;                  // the recorder's; checked by the caller (check_recorder_name)
    std::uint64_t max_dump_bytes = 0;  // of all dumps of this recorder together, the newest is always kept; 0: no limit
  };
  struct Counts {
    std::uint64_t written = 0;
    std::uint64_t failed = 0;
    std::uint64_t removed = 0;
    std::string last_error;
  };
  using Write = std::function<Result<>(ByteSink&)>;

  // Fails when the directory is missing, is none, or cannot be written to. Removes what a killed run left half written.
  static Result<std::unique_ptr<DumpStore>> open(const Options& options);

  // Writes DIRECTORY/kflight-NAME-YYYYmmdd-HHMMSS-NNN-REASON.kfr (local time; NNN counts the dumps of this run). After
  // a failure nothing remains, and the next dump may succeed.
  Result<StoredDump> store(std::string_view reason, std::uint64_t realtime_ns, const Write& write);
  // Writes to a place somebody asked for: an absolute path where nothing is yet. It never makes room or is removed
  // later.
  Result<StoredDump> store_at(const std::string& path, const Write& write);

  Counts counts() const KF_EXCLUDES(mutex_);
  // Neither root's nor the recorder's user's: without CAP_DAC_OVERRIDE its permissions keep us out.
  bool belongs_to_another() const;
  const std::string& directory() const noexcept { return options_.directory; }

 private:
  explicit DumpStore(Options options) : options_(std::move(options)) {}

  std::string free_name(std::string_view reason, std::uint64_t realtime_ns);
  Result<StoredDump> write_file(const std::string& directory, const std::string& name, const Write& write);
  void make_room(StoredDump& newest) const;
  Result<StoredDump> count(Result<StoredDump> outcome) KF_EXCLUDES(mutex_);

  const Options options_;
  std::uint64_t next_number_ = 1;
  mutable Mutex mutex_;
  Counts counts_ KF_GUARDED_BY(mutex_);
};

// Whether a file name is one that store() gives to dumps of the recorder `name`.
bool is_dump_name(std::string_view file_name, std::string_view name);

}  // namespace kflight::record
