// SPDX-License-Identifier: Apache-2.0
#include "record/control_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/errors.hpp"
#include "base/log.hpp"
#include "record/control_mailbox.hpp"
#include "record/privileges.hpp"

namespace kflight::record {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostClients = 8;
constexpr std::size_t kLongestRequest = 64 << 10;
constexpr auto kClientPatience = std::chrono::seconds(2);  // to send its request, and to take its reply
constexpr auto kClosingPatience = std::chrono::milliseconds(500);

std::string error_line(std::string_view message) {
  return nlohmann::json{{"ok", false}, {"error", message}}.dump() + "\n";
}

bool may_ask(int fd) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

struct Client {
  enum class Phase { kAsking, kWaiting, kTaking };

  UniqueFd fd;
  std::uint64_t id = 0;
  Phase phase = Phase::kAsking;
  std::string text;            // the request so far, then what is left of the reply
  Clock::time_point deadline;  // not while it waits for the reply
  bool done = false;

  void answer(std::string line) {
    phase = Phase::kTaking;
    text = std::move(line);
    deadline = Clock::now() + kClientPatience;
  }
  // What poll should wait for. A hang-up is always reported.
  short events() const { return phase == Phase::kAsking ? POLLIN : phase == Phase::kTaking ? POLLOUT : short{0}; }
};

// Everything the serving thread owns.
class Server {
 public:
  Server(UniqueFd socket, std::shared_ptr<ControlMailbox> mailbox, ControlServer::Handler handler)
      : socket_(std::move(socket)), mailbox_(std::move(mailbox)), handler_(std::move(handler)) {}

  void run() {
    for (bool closing = false; !closing; closing = mailbox_->closing()) step(true);
    close_down();
  }

 private:
  void step(bool accepting) {
    std::vector<pollfd> polled = {{mailbox_->wake_fd(), POLLIN, 0}, {accepting ? socket_.get() : -1, POLLIN, 0}};
    for (const auto& client : clients_) polled.push_back({client.fd.get(), client.events(), 0});
    ::poll(polled.data(), polled.size(), time_left_ms());
    for (std::size_t i = 0; i < clients_.size(); ++i) serve(clients_[i], polled[i + 2].revents);
    for (auto& letter : mailbox_->collect()) deliver(std::move(letter));
    const auto now = Clock::now();
    std::erase_if(clients_, [now](const Client& client) {
      return client.done || (client.phase != Client::Phase::kWaiting && client.deadline <= now);
    });
    if (polled[1].revents != 0) accept_client();
  }

  // Until the first deadline; -1 without one.
  int time_left_ms() const {
    std::optional<Clock::time_point> first;
    for (const auto& client : clients_)
      if (client.phase != Client::Phase::kWaiting) first = std::min(first.value_or(client.deadline), client.deadline);
    if (!first) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(0, left.count()));
  }

  // When descriptors have run out, the spare one is given up for a moment to turn the client away: otherwise it would
  // stay in the queue, and poll would report it again and again.
  void accept_client() {
    UniqueFd fd{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!fd && (errno == EMFILE || errno == ENFILE)) {
      spare_.reset();
      ::close(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      spare_ = open_spare();
    }
    if (!fd) return;
    Client client{.fd = std::move(fd), .id = ++last_id_, .deadline = Clock::now() + kClientPatience};
    if (!may_ask(client.fd.get())) return refuse(client, "only root and the user who runs the recorder may control it");
    if (clients_.size() >= kMostClients)
      return refuse(client, "the recorder is busy with other requests; try again in a few seconds");
    clients_.push_back(std::move(client));
  }

  void refuse(Client& client, std::string_view why) {
    client.answer(error_line(why));
    take_reply(client);  // fits the socket's buffer
  }

  void serve(Client& client, short revents) {
    if (revents == 0) return;
    if (client.phase == Client::Phase::kAsking) return read_request(client);
    if (client.phase == Client::Phase::kTaking) return take_reply(client);
    client.done = true;  // hung up without waiting for the reply
  }

  void read_request(Client& client) {
    char buffer[4096];
    const auto bytes = ::recv(client.fd.get(), buffer, sizeof buffer, 0);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (bytes <= 0) {
      client.done = true;
      return;
    }
    client.text.append(buffer, static_cast<std::size_t>(bytes));
    const auto end = client.text.find('\n');
    if (std::min(end, client.text.size()) > kLongestRequest)
      return client.answer(error_line(fmt::format("the request is longer than {} bytes", kLongestRequest)));
    if (end == std::string::npos) return;
    const auto request = client.text.substr(0, end);
    client.phase = Client::Phase::kWaiting;
    handler_(request, ControlReply(mailbox_, client.id));
  }

  void take_reply(Client& client) {
    const auto bytes = ::send(client.fd.get(), client.text.data(), client.text.size(), MSG_NOSIGNAL);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (bytes > 0) client.text.erase(0, static_cast<std::size_t>(bytes));
    client.done = bytes < 0 || client.text.empty();
  }

  void deliver(ControlMailbox::Letter letter) {
    const auto client = std::ranges::find(clients_, letter.client, &Client::id);
    if (client != clients_.end() && client->phase == Client::Phase::kWaiting) client->answer(std::move(letter.line));
  }

  void close_down() {
    for (auto& letter : mailbox_->collect()) deliver(std::move(letter));
    for (auto& client : clients_)
      if (client.phase != Client::Phase::kTaking) client.answer(error_line("the recorder has ended"));
    const auto deadline = Clock::now() + kClosingPatience;
    for (auto& client : clients_) client.deadline = std::min(client.deadline, deadline);
    while (!clients_.empty()) step(false);
  }

  static UniqueFd open_spare() { return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}; }

  UniqueFd socket_;
  UniqueFd spare_ = open_spare();
  std::shared_ptr<ControlMailbox> mailbox_;
  ControlServer::Handler handler_;
  std::vector<Client> clients_;
  std::uint64_t last_id_ = 0;
};

Result<UniqueFd> listen_at(const std::string& path) {
  const auto tried = fmt::format("cannot listen at '{}'", path);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path)
    return Error{Errc::kUsage, tried + ": the path is too long for a socket; set KFLIGHT_RUNTIME_DIR to a shorter one"};
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode))
      return Error{Errc::kIo, tried + ": something that is no socket has that name; remove it"};
    ::unlink(path.c_str());  // we hold the name's lock, so its owner is dead
  }
  UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  // The mode of the descriptor becomes that of the file: there is no moment at which others could connect.
  if (!fd || ::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), static_cast<int>(kMostClients)) != 0)
    return errno_error(errno, tried);
  return fd;
}

// Signals are for the main thread. What serves strangers needs no privilege at all.
std::thread start_thread(std::unique_ptr<Server> server) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([server = std::move(server)] {
    if (auto given_up = keep_only_capabilities(0); !given_up) log_debug("{}", given_up.error().what);
    server->run();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

ControlReply::~ControlReply() {
  if (mailbox_) mailbox_->post({client_, error_line("the recorder ended before it could answer")});
}

void ControlReply::send(std::string json) {
  std::ranges::replace(json, '\n', ' ');
  mailbox_->post({client_, std::move(json) + "\n"});
  mailbox_.reset();
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& name, Handler handler) {
  KF_TRY_ASSIGN(auto lock, NameLock::acquire(name));
  const auto path = control_socket_path(name);
  KF_TRY_ASSIGN(auto socket, listen_at(path));
  struct stat made {};
  if (::lstat(path.c_str(), &made) != 0) return errno_error(errno, fmt::format("cannot find the socket '{}' again", path));
  auto mailbox = std::make_shared<ControlMailbox>();
  if (!mailbox->usable()) return errno_error(errno, "cannot create an eventfd for the control socket");
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::move(lock), std::move(socket), path, {made.st_dev, made.st_ino}, std::move(mailbox),
                        std::move(handler)));
}

ControlServer::ControlServer(NameLock lock, UniqueFd socket, std::string path, FileId file,
                             std::shared_ptr<ControlMailbox> mailbox, Handler handler)
    : lock_(std::move(lock)),
      path_(std::move(path)),
      file_(file),
      mailbox_(std::move(mailbox)),
      thread_(start_thread(std::make_unique<Server>(std::move(socket), mailbox_, std::move(handler)))) {}

ControlServer::~ControlServer() {
  mailbox_->close();
  thread_.join();
  if (reachable()) ::unlink(path_.c_str());
}

bool ControlServer::reachable() const noexcept {
  struct stat found {};
  return ::lstat(path_.c_str(), &found) == 0 && found.st_dev == file_.device && found.st_ino == file_.inode;
}

}  // namespace kflight::record
