// SPDX-License-Identifier: Apache-2.0
//
// service_manager_test.cpp - what arrives at the socket that $NOTIFY_SOCKET names.
#include "record/service_manager.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

class ServiceManagerTest : public testing::Test {
 protected:
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  // Listens as systemd does; '@' is the abstract namespace.
  void listen_at(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    listener_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0) << std::strerror(errno);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  // The next message; empty when there is none.
  std::string next() const {
    char text[256];
    const auto bytes = ::recv(listener_.get(), text, sizeof text, 0);
    return bytes > 0 ? std::string(text, static_cast<std::size_t>(bytes)) : "";
  }

  test::TempDir directory_;
  UniqueFd listener_;
};

TEST_F(ServiceManagerTest, IsToldOfBeginLifeAndEnd) {
  listen_at(directory_.file("notify"));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  const auto manager = ServiceManager::from_environment();
  EXPECT_EQ(next(), "");
  manager.ready();
  EXPECT_EQ(next(), "READY=1\nSTATUS=recording");
  manager.alive();
  EXPECT_EQ(next(), "WATCHDOG=1");
  manager.stopping("SIGTERM\nreceived");
  EXPECT_EQ(next(), "STOPPING=1\nSTATUS=SIGTERM received");
  EXPECT_EQ(next(), "");
}

TEST_F(ServiceManagerTest, IsFoundInTheAbstractNamespace) {
  listen_at("@kflight-test-" + std::to_string(::getpid()));
  ServiceManager::from_environment().ready();
  EXPECT_EQ(next(), "READY=1\nSTATUS=recording");
}

TEST_F(ServiceManagerTest, VariablesAreNotLeftForTheCommand) {
  listen_at(directory_.file("notify"));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  const auto manager = ServiceManager::from_environment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) EXPECT_EQ(std::getenv(name), nullptr);
  manager.alive();
  EXPECT_EQ(next(), "") << "another process is watched";
}

TEST_F(ServiceManagerTest, WithoutAWatchdogNothingIsSaidOfLife) {
  listen_at(directory_.file("notify"));
  ServiceManager::from_environment().alive();
  EXPECT_EQ(next(), "");
}

TEST_F(ServiceManagerTest, OneThatDoesNotReadHoldsUpNobody) {
  listen_at(directory_.file("notify"));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  const auto manager = ServiceManager::from_environment();
  for (int i = 0; i < 10'000; ++i) manager.alive();
  manager.stopping("done");
  EXPECT_EQ(next(), "WATCHDOG=1");
}

TEST_F(ServiceManagerTest, OneThatIsNotThereIsNoHindrance) {
  ServiceManager::from_environment().ready();
  for (const char* path : {"/nonexistent/notify", "relative", "@", ""}) {
    ::setenv("NOTIFY_SOCKET", path, 1);
    const auto manager = ServiceManager::from_environment();
    manager.ready();
    manager.stopping("done");
  }
}

}  // namespace
}  // namespace kflight::record
