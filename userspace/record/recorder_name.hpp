// SPDX-License-Identifier: Apache-2.0
//
// recorder_name.hpp - who may call itself NAME: one living recorder per name and runtime directory. A lock file
// decides, not a PID: the kernel drops the lock when its holder dies, however it dies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

// $KFLIGHT_RUNTIME_DIR, else /run/kflight.
std::string runtime_directory();
// Creates it (0700) when there is none. Fails when others than root and this user can write to it, or it is a symbolic
// link; `advice` says what to do then.
Result<> ensure_private_directory(const std::string& path, std::string_view advice);
// Letters, digits, '.', '_' and '-', not starting with '.', at most 64: a name is part of file names.
Result<> check_recorder_name(std::string_view name_untrusted);
// What a window is called that a recorder of this name found and could not save: NAME.unsaved, of long names with their
// end left out, so that it is a name, too.
std::string unsaved_name(std::string_view name);
std::string control_socket_path(std::string_view name);
// Names with a socket in the runtime directory, sorted; their recorders may have died.
std::vector<std::string> recorder_names();

// Holds the name until destroyed. Move-only.
class NameLock {
 public:
  // Creates the runtime directory (0700) when there is none. kBusy: a living recorder has the name.
  static Result<NameLock> acquire(const std::string& name);
  NameLock(NameLock&& other) noexcept = default;
  NameLock& operator=(NameLock&&) = delete;
  ~NameLock();

 private:
  NameLock(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

// Removes the socket and the lock file that a killed recorder left. Nothing happens while a recorder has the name.
void clear_name_of_the_dead(const std::string& name);

}  // namespace kflight::record
