// SPDX-License-Identifier: Apache-2.0
//
// control_socket.hpp - the recorder's end of `kflight dump|status|stop`: a Unix socket in the runtime directory, one
// JSON request line and one reply line per connection. A thread of its own serves it with poll(2), so a slow or silent
// client holds up neither the others nor the recorder. Only root and the recorder's own user are answered.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/unique_fd.hpp"
#include "kflight/result.hpp"
#include "record/recorder_name.hpp"

namespace kflight::record {

class ControlMailbox;

// The answer a request waits for. May be given later and by any thread, also when the client or the server is gone. One
// that is destroyed without an answer tells the client that the recorder ended.
class ControlReply {
 public:
  ControlReply(std::shared_ptr<ControlMailbox> mailbox, std::uint64_t client)
      : mailbox_(std::move(mailbox)), client_(client) {}
  ControlReply(ControlReply&&) noexcept = default;
  ControlReply& operator=(ControlReply&&) = delete;
  ~ControlReply();

  // One line of JSON. Once.
  void send(std::string json);

 private:
  std::shared_ptr<ControlMailbox> mailbox_;
  std::uint64_t client_;
};

class ControlServer {
 public:
  // Called on the server's thread with one line of what should be JSON; must not block. Answers through `reply`, then
  // or later.
  using Handler = std::function<void(const std::string& request_untrusted, ControlReply reply)>;

  // Claims the name (kBusy when a living recorder has it; what a dead one left is replaced) and starts to serve.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& name, Handler handler);
  // Answers that are on their way get half a second to leave; removes the socket, unless it is another's by now.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::string& path() const noexcept { return path_; }
  // False when somebody removed the socket's file, or put another in its place: no client finds us any more.
  bool reachable() const noexcept;

 private:
  // The file that bind() made.
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
  };
  ControlServer(NameLock lock, UniqueFd socket, std::string path, FileId file, std::shared_ptr<ControlMailbox> mailbox,
                Handler handler);

  NameLock lock_;
  std::string path_;
  FileId file_;
  std::shared_ptr<ControlMailbox> mailbox_;
  std::thread thread_;
};

}  // namespace kflight::record
