#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "rustbd/base/error.h"
#include "rustbd/engine/database.h"
#include "rustbd/io/executor.h"
#include "rustbd/server/config.h"
#include "rustbd/server/data_directory.h"
#include "rustbd/server/overlay_disk.h"

namespace rustbd::server {
namespace {

namespace fs = std::filesystem;

class Folder : public ::testing::Test {
 protected:
  Folder() {
    std::string name = (fs::temp_directory_path() / "rustbd-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() override { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) { std::ofstream{path_ / name} << text; }
  std::string read(const std::string& name) {
    std::ifstream in{path_ / name};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  fs::path path_;
};

TEST(Sizes, Units) {
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("64MiB"), 64u << 20);
  EXPECT_EQ(parse_bytes("1.5 GB"), std::uint64_t{3} << 29);
  EXPECT_EQ(parse_duration_us("0"), 0);
  EXPECT_EQ(parse_duration_us("250ms"), 250'000);
  EXPECT_EQ(parse_duration_us("2h"), 7'200'000'000);
  for (const char* bad : {"", "x", "-1", "12 parsecs", "1e400MB", "nan"}) {
    EXPECT_THROW(parse_bytes(bad), Error) << bad;
    EXPECT_THROW(parse_duration_us(bad), Error) << bad;
  }
  EXPECT_THROW(parse_duration_us("5"), Error) << "a number alone has no unit";
}

TEST(Config, RankOfSources) {
  Config c;
  c.set("log.level", "debug", Source::kFlag);
  c.set("log.level", "error", Source::kFile);
  EXPECT_EQ(c.text("log.level"), "debug");
  EXPECT_EQ(c.source("log.level"), Source::kFlag);
  const char* environment[] = {"RUSTBD_LOG_FORMAT=json", "RUSTBD_LOG_LEVEL=info", "RUSTBD_NOT_A_KEY=1",
                               "HOME=/", nullptr};
  c.read_environment(const_cast<char**>(environment));
  EXPECT_EQ(c.text("log.format"), "json");
  EXPECT_EQ(c.text("log.level"), "debug");
}

TEST(Config, MisspeltVariables) {
  const auto read = [](const char* entry) {
    const char* environment[] = {entry, nullptr};
    Config{}.read_environment(const_cast<char**>(environment));
  };
  for (const char* bad : {"RUSTBD_BUFFER_SIZZE=5", "RUSTBD_BUFER_SIZE=5MiB", "RUSTBD_WAL_ARCHIVE=/a"})
    EXPECT_THROW(read(bad), Error) << bad;
  for (const char* other : {"RUSTBD_ADMIN_PASSWORD=x", "RUSTBD_ADMIN_PASSWORD_FILE=/x", "RUSTBD_KILL_SEED=5",
                            "RUSTBD_SERVICE_HOST=10.0.0.1", "RUSTBD_PORT=tcp://10.0.0.1:5433", "RUSTBD=x",
                            "RUSTBD_ABORT_ON_PANIC=1", "RUSTBD_BACKUP_SEED=1", "RUSTBD_SERVICE_PORT=1"})
    EXPECT_NO_THROW(read(other)) << other;
}

TEST(Config, RoomForOldVersionsHasALeastSize) {
  Config c;
  for (const std::string value : {"0", "1023kB"}) {
    try {
      c.set("txn.undo_limit", value, Source::kFlag);
      ADD_FAILURE() << value;
    } catch (const Error& e) {
      EXPECT_EQ(e.message, "txn.undo_limit: \"" + value + "\" is less than 1 MiB");
    }
  }
  c.set("txn.undo_limit", "1MiB", Source::kFlag);
  EXPECT_EQ(c.bytes("txn.undo_limit"), 1u << 20);
}

TEST(Config, WrongKeysAndValues) {
  Config c;
  try {
    c.set("server.max_conections", "5", Source::kFlag);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.hint, "Perhaps you meant \"server.max_connections\".");
  }
  EXPECT_THROW(c.set("server.max_connections", "many", Source::kFlag), Error);
  for (const auto& [key, value, range] : {std::tuple{"exec.threads", "513", "0 and 512"},
                                          {"server.network_threads", "257", "0 and 256"},
                                          {"recovery.workers", "129", "0 and 128"},
                                          {"server.max_connections", "16001", "1 and 16000"},
                                          {"server.max_connections", "0", "1 and 16000"}}) {
    try {
      c.set(key, value, Source::kFlag);
      ADD_FAILURE() << key;
    } catch (const Error& e) {
      EXPECT_EQ(e.message, fmt::format("{}: {} is not between {}", key, value, range));
    }
  }
  EXPECT_THROW(c.set("wal.sync", "perhaps", Source::kFlag), Error);
  EXPECT_EQ(c.text("server.max_connections"), "10000") << "a refused value changes nothing";
}

TEST_F(Folder, ConfigFile) {
  write("a.toml",
        "[server]\nlisten = [\"127.0.0.1:1\", \"[::1]:2\"]\nmax_connections = 7\n[checkpoint]\ntimeout = "
        "\"1m\"\n");
  Config c;
  c.read_file((path_ / "a.toml").string());
  EXPECT_EQ(c.list("server.listen"), (std::vector<std::string>{"127.0.0.1:1", "[::1]:2"}));
  EXPECT_EQ(c.count("server.max_connections"), 7u);
  EXPECT_EQ(c.microseconds("checkpoint.timeout"), 60'000'000);
  write("b.toml", "[server]\n\nlissten = \"x\"\n");
  try {
    c.read_file((path_ / "b.toml").string());
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.message.find("b.toml:3: unknown configuration key \"server.lissten\""), std::string::npos)
        << e.message;
  }
}

TEST_F(Folder, DataDirectories) {
  const auto fresh = (path_ / "sub" / "data").string();
  EXPECT_THROW(open_data_directory(fresh, false), Error);
  EXPECT_TRUE(open_data_directory(fresh, true).is_new);
  EXPECT_EQ(fs::status(fresh).permissions() & fs::perms::all, fs::perms::owner_all);
  write("somebody's file", "x");
  EXPECT_THROW(open_data_directory(path_.string(), true), Error) << "not empty and not ours";
  EXPECT_THROW(open_data_directory((path_ / "somebody's file").string(), true), Error);
  std::ofstream{fs::path{fresh} / "rustbd.toml"} << "";
  EXPECT_TRUE(open_data_directory(fresh, true).is_new) << "a configuration may lie there before";
}

TEST_F(Folder, AFirstStartWithoutRoomForOldVersionsFails) {
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(2);
  const auto disk = io::make_real_disk(path_.string());
  const io::Environment environment{disk.get(), clock.get(), random.get(), executor.get()};
  engine::DatabaseOptions options;
  options.storage.buffer_bytes = std::uint64_t{32} << 20;
  for (const std::uint64_t limit : {0, 1 << 20}) {
    options.storage.undo_limit_bytes = limit;
    try {
      engine::Database::open(environment, options)->close();
      EXPECT_EQ(limit, 1u << 20) << "the least that the configuration takes";
    } catch (const Error& e) {
      EXPECT_EQ(e.state, sqlstate::kOutOfMemory) << e.message;
      EXPECT_LT(limit, 1u << 20);
    }
  }
  executor->stop();
}

std::span<const std::byte> bytes(std::string_view s) { return std::as_bytes(std::span{s}); }

TEST_F(Folder, OverlayNeverTouchesTheBase) {
  write("file", "hello world");
  const auto base = io::make_real_disk(path_.string());
  const auto disk = make_overlay_disk(*base);
  auto file = *disk->open("file", {});
  ASSERT_TRUE(file->write(6, bytes("there")));
  std::string seen(11, '\0');
  ASSERT_TRUE(file->read(0, std::as_writable_bytes(std::span{seen})));
  EXPECT_EQ(seen, "hello there");
  EXPECT_EQ(file->read(5, std::as_writable_bytes(std::span{seen})).error(), io::IoFailure::kShort);
  ASSERT_TRUE(disk->open("new", {.create = true}));
  ASSERT_TRUE(disk->rename("file", "renamed"));
  EXPECT_FALSE(disk->exists("file"));
  EXPECT_EQ(*disk->list("."), (std::vector<std::string>{"new", "renamed"}));
  ASSERT_TRUE(disk->remove("renamed"));
  EXPECT_FALSE(disk->open("renamed", {}));
  EXPECT_EQ(read("file"), "hello world");
  EXPECT_FALSE(fs::exists(path_ / "new"));
}

// Random operations against a plain string.
TEST_F(Folder, OverlayFileIsLikeAString) {
  io::SeededRandom random{42};
  std::string model(20'000, '\0');
  for (auto& c : model) c = static_cast<char>('a' + random.below(26));
  write("file", model);
  const auto original = model;
  const auto base = io::make_real_disk(path_.string());
  const auto disk = make_overlay_disk(*base);
  auto file = *disk->open("file", {});
  for (int round = 0; round < 3000; ++round) {
    const auto at = random.below(40'000), n = random.below(9000);
    switch (random.below(8)) {
      case 0: {
        ASSERT_TRUE(file->truncate(at));
        model.resize(at);
        break;
      }
      case 1: {
        ASSERT_TRUE(file->allocate(at, n));
        model.resize(std::max<std::size_t>(model.size(), at + n));
        break;
      }
      case 2:
      case 3:
      case 4: {
        const std::string data(n, static_cast<char>('A' + random.below(26)));
        if (data.empty()) break;
        ASSERT_TRUE(file->write(at, bytes(data)));
        model.resize(std::max<std::size_t>(model.size(), at + n));
        model.replace(at, n, data);
        break;
      }
      default: {
        std::string seen(n, '?');
        const auto ok = file->read(at, std::as_writable_bytes(std::span{seen}));
        ASSERT_EQ(ok.has_value(), at + n <= model.size());
        if (ok) {
          ASSERT_EQ(seen, model.substr(at, n)) << "round " << round;
        }
      }
    }
    ASSERT_EQ(*file->size(), model.size());
  }
  EXPECT_EQ(read("file"), original);
}

}  // namespace
}  // namespace rustbd::server
