// SPDX-License-Identifier: Apache-2.0
//
// What a recorder needs, what it gives up, and what it does not tell: capabilities taken away one by one, the state of
// all its threads, the command it starts, the service manager, a control socket that somebody removes.
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>

#include "base/unique_fd.hpp"
#include "integration/dump_facts.hpp"
#include "record/control_client.hpp"
#include "record/privileges.hpp"
#include "record/recorder_name.hpp"

namespace kflight::test {
namespace {

using record::Capability;
using record::Need;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kNobody = "65534";

class Privileges : public RecordTest {
 protected:
  // A recorder that is not root and holds these capabilities only.
  Recorder record_as_nobody(const std::vector<std::string>& capabilities, Words arguments) {
    const std::string directory = temp() / ("nobody" + std::to_string(++recorders_)), program = directory + "/kflight";
    const std::string name = "nobody" + std::to_string(getpid()) + "-" + std::to_string(recorders_);
    std::filesystem::create_directory(directory);
    std::filesystem::copy_file(kflight_path(), program);  // the build may lie where only root looks
    for (const std::string& path : {temp().path(), program}) EXPECT_EQ(chmod(path.c_str(), 0755), 0);
    EXPECT_EQ(chown(directory.c_str(), 65534, 65534), 0);
    std::string set = "-all";
    for (const std::string& capability : capabilities) set += ",+" + capability;
    Words command{"env",
                  "KFLIGHT_RUNTIME_DIR=" + directory + "/run",
                  "setpriv",
                  "--reuid",
                  kNobody,
                  "--regid",
                  kNobody,
                  "--clear-groups",
                  "--bounding-set",
                  set,
                  "--inh-caps",
                  set,
                  "--ambient-caps",
                  set,
                  program,
                  "record",
                  "--name",
                  name,
                  "-o",
                  directory};
    command.insert(command.end(), arguments.begin(), arguments.end());
    Child& child = start(command);
    if (!child.wait_for_line("ready")) ADD_FAILURE() << "the recorder did not get ready";
    return Recorder(child, name, directory);
  }
  // Named as setpriv does, without `left_out`.
  static std::vector<std::string> all_but(std::string_view left_out) {
    std::vector<std::string> names;
    for (const Capability& capability : record::kCapabilities) {
      if (capability.need == Need::kSometimes || capability.name == left_out) continue;
      std::string name(capability.name.substr(std::strlen("CAP_")));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      names.push_back(name);
    }
    return names;
  }
  // Others may be written before it.
  std::string dump_by_signal(Recorder& recorder) {
    recorder.child().signal(SIGUSR1);
    std::string path = recorder.wait_for_dump();
    while (open_dump(path).meta().cause.kind != "signal") path = recorder.wait_for_dump();
    return path;
  }
  // "CapEff:\t0000" of every thread, one per line.
  static std::vector<std::string> of_threads(pid_t pid, const std::string& key) {
    std::vector<std::string> values;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
      std::ifstream status(task.path() / "status");
      for (std::string line; std::getline(status, line);)
        if (line.starts_with(key + ":\t")) values.push_back(line.substr(key.size() + 2));
    }
    return values;
  }

 private:
  int recorders_ = 0;
};

TEST_F(Privileges, AFewCapabilitiesAreAsGoodAsRoot) {
  Workload workload = start_workload("descriptors");
  Recorder recorder =
      record_as_nobody(all_but(""), {"--pid", std::to_string(workload.pid()), "--min-age", "60s", "--sample", "99"});
  workload.go();
  workload.report();
  const std::string path = dump_by_signal(recorder);
  workload.end();
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_THAT(recorder.child().err(), Not(HasSubstr("is missing")));

  const std::string events = kflight({"events", "--stacks", path}).out;
  EXPECT_THAT(events, HasSubstr("user main"));        // mappings and build ids of a stranger's program
  EXPECT_THAT(events, HasSubstr("kernel vfs_read"));  // addresses in kallsyms
  EXPECT_THAT(kflight({"export", "--no-explain", "--format", "jsonl", "-o", "-", path}).out, HasSubstr("pipe:["));
}

TEST_F(Privileges, WhatALackCostsIsSaidAndTheRestIsRecorded) {
  for (const Capability& capability : record::kCapabilities) {
    if (capability.need != Need::kUsual) continue;
    Recorder recorder = record_as_nobody(all_but(capability.name), {"--all"});
    EXPECT_TRUE(open_dump(dump_by_signal(recorder)).complete()) << capability.name;
    EXPECT_EQ(recorder.stop(), 0);
    EXPECT_THAT(recorder.child().err(),
                HasSubstr(std::string(capability.name) + " is missing: " + std::string(capability.without)));
  }
}

TEST_F(Privileges, AreGivenUpByEveryThreadWhenRecordingHasBegun) {
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow"});
  const pid_t pid = recorder.child().pid();
  std::uint64_t allowed = 0;
  for (const Capability& capability : record::kCapabilities)
    if (capability.kept) allowed |= std::uint64_t{1} << capability.number;
  std::size_t threads = 0;
  for (const std::string& held : of_threads(pid, "CapPrm")) {
    EXPECT_EQ(std::stoull(held, nullptr, 16) & ~allowed, 0u) << held;
    ++threads;
  }
  EXPECT_EQ(threads, 5u);  // the loop, the consumer, the window's keeper, the control socket's, and who looks at processes
  EXPECT_THAT(of_threads(pid, "CapPrm"), testing::Contains("0000000000000000"));  // the control socket's
  const bool may_shrink_bounds = (record::effective_capabilities() >> CAP_SETPCAP & 1) != 0;
  if (may_shrink_bounds) {
    for (const std::string& value : of_threads(pid, "CapBnd")) EXPECT_EQ(value, "0000000000000000");
  }
  for (const std::string& value : of_threads(pid, "NoNewPrivs")) EXPECT_EQ(value, "1");
  for (const std::string& value : of_threads(pid, "Seccomp")) EXPECT_EQ(value, "2");
  EXPECT_EQ(recorder.stop(), 0);
}

// `cd; sudo kflight record`: the folder is the user's, and root without CAP_DAC_OVERRIDE may not write there.
TEST_F(Privileges, AFolderOfWhoBecameRootBySudo_IsWrittenTo) {
  const std::string directory = temp() / "home";
  std::filesystem::create_directory(directory);
  ASSERT_EQ(chmod(directory.c_str(), 0755), 0);
  ASSERT_EQ(chown(directory.c_str(), 65534, 65534), 0);
  const std::string name = "sudo" + std::to_string(getpid());
  Child& child = start({"env", std::string("SUDO_UID=") + kNobody, std::string("SUDO_GID=") + kNobody, kflight_path(),
                        "record", "--name", name, "-o", directory, "--all"});
  ASSERT_TRUE(child.wait_for_line("ready"));
  Recorder recorder(child, name, directory);
  EXPECT_NE(dump_path(recorder), "");
  std::size_t may_write_anywhere = 0;
  for (const std::string& held : of_threads(child.pid(), "CapPrm"))
    may_write_anywhere += std::stoull(held, nullptr, 16) >> CAP_DAC_OVERRIDE & 1;
  EXPECT_EQ(may_write_anywhere, 1u) << "the thread that starts those that write";
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Privileges, AreKeptWithoutTheSandbox) {
  Recorder recorder = start_recorder({"--all", "--no-sandbox"});
  for (const std::string& value : of_threads(recorder.child().pid(), "Seccomp")) EXPECT_EQ(value, "0");
  EXPECT_EQ(of_threads(recorder.child().pid(), "CapPrm").front(), of_threads(getpid(), "CapPrm").front());
  EXPECT_TRUE(open_dump(dump_path(recorder)).complete());
  EXPECT_EQ(recorder.stop(), 0);
}

// Everything the recorder does for a command happens before, and nothing of what it gives up concerns it.
TEST_F(Privileges, OfACommandAreThoseItWasStartedWith) {
  const auto lines = [](const std::string& text) {
    std::string kept;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
      if (line.starts_with("Cap") || line.starts_with("NoNewPrivs") || line.starts_with("Seccomp:"))
        kept += line + "\n";
    return kept;
  };
  const std::string show = "cat /proc/self/status; echo \"socket=$NOTIFY_SOCKET.\"; exit 7";
  const Output plain = run({"sh", "-c", show});
  const Output recorded = run({"env", "NOTIFY_SOCKET=/nonexistent/notify", kflight_path(), "record", "--name",
                               "command" + std::to_string(getpid()), "-o", temp().path(), "--", "sh", "-c", show});
  EXPECT_EQ(recorded.status, 7);
  EXPECT_NE(lines(plain.out), "");
  EXPECT_EQ(lines(recorded.out), lines(plain.out));
  EXPECT_THAT(recorded.out, HasSubstr("socket=.\n"));
}

// Triggers, amended dumps, removal of old ones, every kind of stack: the harness demands that nothing was refused.
TEST_F(Privileges, ThatAreLeftAreEnoughForAWholeLife) {
  Workload workload = start_workload("stacks");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--wait", "--stacks", "all", "--sample",
                                      "99", "-t", "inflight>50ms", "-t", "syscall>10ms", "--cooldown", "0s", "--post",
                                      "1ms", "--max-dump-bytes", "100KiB"});
  workload.go();
  recorder.wait_for_dump();
  workload.report();
  workload.end();
  EXPECT_NE(dump_path(recorder, {"-o", temp() / "asked.kfr"}), "");
  EXPECT_NE(dump_path(recorder), "");
  dump_by_signal(recorder);
  EXPECT_GT(status_of(recorder)["dumps"]["written"], 3);
  EXPECT_EQ(kflight({"stop", "--name", recorder.name()}).status, 0);
  EXPECT_EQ(recorder.child().wait(), 0);
}

TEST_F(Privileges, ArgumentsOfACommandAreNotToldUnlessWanted) {
  for (const bool wanted : {false, true}) {
    Words arguments{"--max-dumps", "1", "-t", "syscall:clock_nanosleep>10ms", "--post", "1ms"};
    if (wanted) arguments.push_back("--keep-arguments");
    arguments.insert(arguments.end(), {"--", "sh", "-c", "sleep 0.1; : --password=hunter2"});
    Recorder recorder = start_recorder(arguments);
    const std::string info = kflight({"info", "--json", recorder.wait_for_dump()}).out;
    EXPECT_EQ(recorder.child().wait(), 0);
    EXPECT_THAT(info, HasSubstr(wanted ? "sh -c sleep 0.1; : --password=hunter2" : "sh [2 arguments]"));
    EXPECT_EQ(info.find("hunter2") != info.npos, wanted);
  }
}

TEST_F(Privileges, TheServiceManagerIsToldOfLifeUntilItsEnd) {
  const std::string path = temp() / "notify";
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, path.c_str());
  const UniqueFd listener{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const auto next = [&] {
    char text[256];
    const auto bytes = ::recv(listener.get(), text, sizeof text, 0);
    return std::string(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  };
  Child& recorder = start({"env", "NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=30000000", kflight_path(), "record", "--all",
                           "--name", "notify" + std::to_string(getpid()), "-o", temp().path()});
  ASSERT_TRUE(recorder.wait_for_line("ready"));
  EXPECT_EQ(next(), "READY=1\nSTATUS=recording");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(next(), "WATCHDOG=1");
  recorder.signal(SIGTERM);
  std::string last = next();
  while (last == "WATCHDOG=1") last = next();
  EXPECT_EQ(last, "STOPPING=1\nSTATUS=SIGTERM received");
  EXPECT_EQ(recorder.wait(), 0);
}

TEST_F(Privileges, AControlSocketThatIsRemovedIsMissedAndRecordingGoesOn) {
  Recorder recorder = start_recorder({"--all"});
  ASSERT_TRUE(std::filesystem::remove(record::control_socket_path(recorder.name())));
  const auto said = [&] {
    return recorder.child().err().find("was removed or replaced: recording goes on") != std::string::npos;
  };
  while (!said() && recorder.child().running()) {
  }
  EXPECT_TRUE(said());
  EXPECT_EQ(kflight({"status", "--name", recorder.name()}).status, 1);
  EXPECT_TRUE(open_dump(dump_by_signal(recorder)).complete());
  EXPECT_EQ(recorder.stop(), 0);
}

// Of requests for dumps whose clients do not wait, so many are taken as may wait, and the others are refused aloud.
// Asking goes on until one is refused, because how fast the disk is decides when.
TEST_F(Privileges, RequestsFasterThanTheDiskAreRefusedNotPiledUp) {
  Recorder recorder = start_recorder({"--all"});
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, record::control_socket_path(recorder.name()).c_str());
  const auto refused = [&] {
    std::size_t count = 0;
    const std::string said = recorder.child().err(), words = "dumps are waiting to be written already";
    for (auto at = said.find(words); at != said.npos; at = said.find(words, at + 1)) ++count;
    return count;
  };
  std::size_t asked = 0;
  for (; asked < 1000 && refused() == 0; ++asked) {
    const UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string request = "{\"op\":\"dump\"}\n";
    ASSERT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    // answered meanwhile, and behind the request; from this process, because starting another takes as long as a dump
    const auto answer = record::control_request(recorder.name(), "{\"op\":\"status\"}", std::chrono::minutes(1));
    ASSERT_TRUE(answer) << answer.error().what;
  }
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_GT(refused(), 0u);
  EXPECT_EQ(refused() + files_in(recorder.directory()).size(), asked);
}

TEST_F(Privileges, TheDoctorSaysWhatEachIsFor) {
  const Json all = kflight({"doctor", "--json"}).json();
  const auto found = [&](std::string_view name) {
    for (const Json& finding : all["findings"])
      if (finding["name"] == name) return finding["found"].get<std::string>();
    return std::string("nothing");
  };
  for (const Capability& capability : record::kCapabilities)
    EXPECT_THAT(found(capability.name), HasSubstr("to " + std::string(capability.purpose)));
  EXPECT_THAT(found("sandbox"), HasSubstr("works"));
}

}  // namespace
}  // namespace kflight::test
