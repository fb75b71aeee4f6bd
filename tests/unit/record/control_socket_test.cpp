// SPDX-License-Identifier: Apache-2.0
//
// control_socket_test.cpp - one recorder per name, requests and replies, and clients that misbehave. Each test has a
// runtime directory of its own.
#include "record/control_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <nlohmann/json.hpp>
#include <optional>

#include "record/control_client.hpp"
#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kPatience = 60s;  // far more than anything here takes

class ControlSocket : public testing::Test {
 protected:
  ControlSocket() { ::setenv("KFLIGHT_RUNTIME_DIR", directory_.file("run").c_str(), 1); }
  ~ControlSocket() override { ::unsetenv("KFLIGHT_RUNTIME_DIR"); }

  static std::unique_ptr<ControlServer> serve(const std::string& name, ControlServer::Handler handler) {
    auto server = ControlServer::start(name, std::move(handler));
    EXPECT_TRUE(server) << (server ? "" : server.error().what);
    return server ? std::move(*server) : nullptr;
  }
  static std::unique_ptr<ControlServer> serve_echo(const std::string& name) {
    return serve(name, [](const std::string& request, ControlReply reply) { reply.send(request); });
  }
  static std::string ask(const std::string& name, const std::string& json) {
    const auto reply = control_request(name, json, kPatience);
    return reply ? *reply : "error: " + reply.error().what;
  }
  // A connection under the test's own control.
  static UniqueFd connect_raw(const std::string& name) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strcpy(address.sun_path, control_socket_path(name).c_str());
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    return fd;
  }
  static std::string read_all(const UniqueFd& fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t bytes; (bytes = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<std::size_t>(bytes));
    return text;
  }
  static mode_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777;
  }

  test::TempDir directory_;
};

TEST_F(ControlSocket, AnswersOneLineWithOneLine) {
  const auto server = serve_echo("a");
  EXPECT_EQ(ask("a", R"({"op":"status"})"), R"({"op":"status"})");
  EXPECT_EQ(ask("a", std::string(60'000, 'x')), std::string(60'000, 'x'));
}

TEST_F(ControlSocket, IsPrivateAndLeavesNothingBehind) {
  auto server = serve_echo("a");
  EXPECT_EQ(mode_of(directory_.file("run")), 0700u);
  EXPECT_EQ(mode_of(server->path()), 0600u);
  server.reset();
  EXPECT_TRUE(std::filesystem::is_empty(directory_.file("run")));
}

TEST_F(ControlSocket, OneRecorderPerName) {
  const auto server = serve_echo("a");
  const auto second = ControlServer::start("a", [](const std::string&, ControlReply) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  EXPECT_EQ(second.error().what, "a recorder named 'a' is running as PID " + std::to_string(::getpid()) +
                                     "; stop it with `kflight stop --name a` or choose another --name");
  EXPECT_TRUE(serve_echo("b"));
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, ReplacesWhatADeadRecorderLeft) {
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto server = ControlServer::start("a", [](const std::string&, ControlReply) {});
    ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(std::filesystem::exists(control_socket_path("a")));
  EXPECT_THAT(ask("a", "1"), HasSubstr("no recorder named 'a' is running"));
  const auto server = serve_echo("a");
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, NamesTheRecordersThereAreWhenOneIsNot) {
  EXPECT_THAT(ask("x", "1"), HasSubstr("no recorder named 'x' is running (nothing listens at '"));
  const auto server = serve_echo("mine");
  const auto reply = control_request("x", "1", kPatience);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::kNotFound);
  EXPECT_EQ(reply.error().what,
            "no recorder named 'x' is running (there is 'mine'); start one with `kflight record --name x`");
}

TEST_F(ControlSocket, RefusesNamesThatAreNoFileNames) {
  for (const auto& name : std::vector<std::string>{"", ".", "../x", "a/b", "a b", "a\n", std::string(65, 'a')}) {
    EXPECT_EQ(check_recorder_name(name).error().code, Errc::kUsage) << name;
    EXPECT_EQ(control_request(name, "1", kPatience).error().code, Errc::kUsage) << name;
  }
  EXPECT_TRUE(check_recorder_name("web-1.prod_A"));
}

// `kflight recover --name` and doctor pass over what is no name.
TEST_F(ControlSocket, WhatCouldNotBeSavedHasANameTooHoweverLongItIs) {
  EXPECT_EQ(unsaved_name("web"), "web.unsaved");
  for (const std::size_t length : {56, 57, 64}) {
    const std::string name = unsaved_name(std::string(length, 'a'));
    EXPECT_TRUE(check_recorder_name(name)) << name;
    EXPECT_EQ(name, std::string(56, 'a') + ".unsaved");
  }
}

TEST_F(ControlSocket, RefusesADirectoryOthersCanWrite) {
  std::filesystem::create_directory(directory_.file("run"));
  std::filesystem::permissions(directory_.file("run"), std::filesystem::perms::all);
  const auto server = ControlServer::start("a", [](const std::string&, ControlReply) {});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, Errc::kPermission);
}

TEST_F(ControlSocket, RefusesToReplaceWhatIsNoSocket) {
  std::filesystem::create_directory(directory_.file("run"));
  std::filesystem::permissions(directory_.file("run"), std::filesystem::perms::owner_all);
  test::write_text(control_socket_path("a"), "precious");
  EXPECT_FALSE(ControlServer::start("a", [](const std::string&, ControlReply) {}));
  EXPECT_EQ(test::read_text(control_socket_path("a")), "precious");
}

TEST_F(ControlSocket, ALateReplyHoldsUpNobody) {
  std::optional<ControlReply> owed;
  std::latch asked(1);
  const auto server = serve("a", [&](const std::string& request, ControlReply reply) {
    if (request != "dump") return reply.send(request);
    owed.emplace(std::move(reply));
    asked.count_down();
  });
  std::string late;
  std::thread waiting([&] { late = ask("a", "dump"); });
  asked.wait();
  EXPECT_EQ(ask("a", "status"), "status");
  owed->send("written");
  waiting.join();
  EXPECT_EQ(late, "written");
}

TEST_F(ControlSocket, AReplyThatIsNeverGivenIsAnError) {
  const auto server = serve("a", [](const std::string&, ControlReply) {});
  const auto reply = nlohmann::json::parse(ask("a", "dump"));
  EXPECT_EQ(reply["ok"], false);
  EXPECT_EQ(reply["error"], "the recorder ended before it could answer");
}

TEST_F(ControlSocket, TheEndOfTheServerAnswersWhoIsStillWaiting) {
  std::optional<ControlReply> owed;
  std::latch asked(1);
  auto server = serve("a", [&](const std::string&, ControlReply reply) {
    owed.emplace(std::move(reply));
    asked.count_down();
  });
  std::string answer;
  std::thread waiting([&] { answer = ask("a", "dump"); });
  asked.wait();
  server.reset();
  waiting.join();
  EXPECT_THAT(answer, HasSubstr("the recorder has ended"));
  owed->send("too late, harmless");
}

TEST_F(ControlSocket, ARepliedStopStillReachesItsClient) {
  auto server = serve("a", [&](const std::string&, ControlReply reply) { reply.send(std::string(1 << 20, 'y')); });
  const auto client = connect_raw("a");
  ASSERT_EQ(::send(client.get(), "stop\n", 5, MSG_NOSIGNAL), 5);
  char first = 0;
  ASSERT_EQ(::recv(client.get(), &first, 1, 0), 1);
  std::thread ending([&] { server.reset(); });
  EXPECT_EQ(read_all(client).size(), std::size_t{1 << 20});
  ending.join();
}

TEST_F(ControlSocket, SilentClientsHoldUpNobodyAndAreDropped) {
  const auto server = serve_echo("a");
  std::array<UniqueFd, 7> silent;
  for (auto& fd : silent) fd = connect_raw("a");
  ASSERT_EQ(::send(silent[0].get(), "half a requ", 11, MSG_NOSIGNAL), 11);
  EXPECT_EQ(ask("a", "1"), "1");
  for (const auto& fd : silent) EXPECT_EQ(read_all(fd), "");  // returns when the server hangs up
}

TEST_F(ControlSocket, TooManyClientsAreToldSo) {
  const auto server = serve_echo("a");
  std::array<UniqueFd, 8> silent;
  for (auto& fd : silent) fd = connect_raw("a");
  EXPECT_THAT(ask("a", "1"), HasSubstr("busy with other requests"));
  silent.back().reset();
  std::string reply;
  while (reply != "1") reply = ask("a", "1");  // until the server has noticed
}

TEST_F(ControlSocket, OfManyClientsEightAreHeld) {
  const auto server = serve_echo("a");
  constexpr std::size_t kAll = 64, kHeld = 8;
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < kAll; ++i) clients.push_back(connect_raw("a"));
  std::size_t turned_away = 0, dropped = 0;
  for (const auto& fd : clients) {  // each returns when the server hangs up
    const std::string reply = read_all(fd);
    turned_away += reply.find("busy with other requests") != reply.npos;
    dropped += reply.empty();
  }
  EXPECT_EQ(turned_away + dropped, kAll);
  EXPECT_GE(dropped, kHeld);
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, AClientThatTricklesIsDropped) {
  const auto server = serve_echo("a");
  const auto client = connect_raw("a");
  std::size_t sent = 0;
  while (::send(client.get(), "x", 1, MSG_NOSIGNAL) == 1) {  // until the server hangs up
    ++sent;
    EXPECT_EQ(ask("a", "1"), "1");
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_GT(sent, 0u);
}

TEST_F(ControlSocket, OtherUsersAreTurnedAwayEvenIfTheFileLetsThemIn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const auto server = serve_echo("a");
  const std::string path = control_socket_path("a");
  for (const auto& open : {directory_.path(), directory_.file("run"), path}) ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, path.c_str());
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    char reply[256] = {};
    if (::setuid(kNobody) != 0) ::_exit(2);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ::_exit(3);
    if (::recv(fd, reply, sizeof reply - 1, 0) <= 0) ::_exit(4);
    ::_exit(std::strstr(reply, "only root and the user who runs the recorder") != nullptr ? 0 : 5);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, WithoutFreeDescriptorsClientsAreTurnedAwayNotKeptWaiting) {
  const auto server = serve_echo("a");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, control_socket_path("a").c_str());
  const UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit few{64, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<UniqueFd> all;
  for (int fd; (fd = ::fcntl(client.get(), F_DUPFD_CLOEXEC, 0)) >= 0;) all.emplace_back(fd);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(read_all(client), "");  // returns when the server hangs up
  all.clear();
  ::setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, ASocketThatWasRemovedOrReplacedIsNoticedAndLeftAlone) {
  auto server = serve_echo("a");
  const std::string path = server->path();
  EXPECT_TRUE(server->reachable());
  std::filesystem::remove(path);
  EXPECT_FALSE(server->reachable());
  test::write_text(path, "another's");
  EXPECT_FALSE(server->reachable());
  server.reset();
  EXPECT_EQ(test::read_text(path), "another's");
}

TEST_F(ControlSocket, TheNextRecordersLockIsLeftAlone) {
  auto first = serve_echo("a");
  std::filesystem::remove_all(directory_.file("run"));
  const auto second = serve_echo("a");
  first.reset();
  EXPECT_TRUE(second->reachable());
  EXPECT_FALSE(ControlServer::start("a", [](const std::string&, ControlReply) {}));
  EXPECT_EQ(ask("a", "1"), "1");
}

TEST_F(ControlSocket, AnEndlessRequestIsCutOff) {
  const auto server = serve_echo("a");
  EXPECT_THAT(ask("a", std::string(1 << 20, 'x')), HasSubstr("longer than 65536 bytes"));
}

TEST_F(ControlSocket, AClientThatHangsUpIsForgotten) {
  std::optional<ControlReply> owed;
  std::latch asked(1);
  const auto server = serve("a", [&](const std::string& request, ControlReply reply) {
    if (request != "dump") return reply.send(request);
    owed.emplace(std::move(reply));
    asked.count_down();
  });
  {
    const auto client = connect_raw("a");
    ASSERT_EQ(::send(client.get(), "dump\n", 5, MSG_NOSIGNAL), 5);
    asked.wait();
  }
  EXPECT_EQ(ask("a", "1"), "1");
  owed->send("nobody hears this");
  EXPECT_EQ(ask("a", "2"), "2");
}

TEST_F(ControlSocket, AReplyIsOneLine) {
  const auto server = serve("a", [](const std::string&, ControlReply reply) { reply.send("{\n}"); });
  EXPECT_EQ(ask("a", "1"), "{ }");
}

TEST_F(ControlSocket, TheClientsPatienceEnds) {
  std::optional<ControlReply> owed;
  const auto server = serve("a", [&](const std::string&, ControlReply reply) { owed.emplace(std::move(reply)); });
  const auto reply = control_request("a", "dump", 50ms);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().what, HasSubstr("did not answer within 50 ms"));
}

}  // namespace
}  // namespace kflight::record
