// RustBD inside a program: opens a directory, makes a table, fills it, asks. Build: ninja -C build/release
// rustbd_example Run: build/release/rustbd_example [directory]
#include <cstdio>
#include <filesystem>
#include <string>

#include "rustbd/engine/session.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/run_task.h"

namespace {

using namespace rustbd;

// Where a statement's results go: here, straight to standard output, from the engine's vectors.
class Printer final : public engine::ResultSink {
 public:
  void columns(std::span<const engine::ResultColumn> columns) override {
    for (const auto& c : columns) fmt::print("{:<12}", c.name);
    fmt::print("\n");
  }
  io::WaitToken rows(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns,
                     types::IoContext& io) override {
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        std::string text;
        if (chunk[c].is_valid(chunk.selection[i]))
          types::output_text(chunk[c].datum(chunk.selection[i]), columns[c].type, io, text);
        fmt::print("{:<12}", text);
      }
      fmt::print("\n");
    }
    return {};  // nothing to wait for: we took the rows at once
  }
  void complete(std::string_view tag) override { fmt::print("{}\n", tag); }
  void empty_query() override {}
  void suspended() override {}
  void notice(const Notice& notice) override { fmt::print("NOTICE: {}\n", notice.content.message); }
  void parameter_changed(std::string_view, std::string_view) override {}
  void copy_in_begin(engine::CopyFormat, std::size_t) override {}
  Task<std::optional<std::string>> copy_in_data() override { co_return std::nullopt; }
  void copy_out_begin(engine::CopyFormat, std::size_t) override {}
  io::WaitToken copy_out_data(std::string_view) override { return {}; }
  void copy_out_end() override {}
};

int run(const std::string& directory) {
  std::filesystem::create_directories(directory);
  // All that the engine knows of the machine: files, time, chance, threads.
  const auto disk = io::make_real_disk(directory);
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(2);
  const auto database = engine::Database::open({disk.get(), clock.get(), random.get(), executor.get()}, {});
  int failures = 0;
  {
    const auto session = database->connect({});
    Printer printer;
    for (const char* sql :
         {"CREATE TABLE IF NOT EXISTS planet (name text PRIMARY KEY, moons integer NOT NULL)",
          "INSERT INTO planet VALUES ('Earth', 1), ('Mars', 2), ('Jupiter', 95) ON CONFLICT DO NOTHING",
          "SELECT name, moons FROM planet ORDER BY moons DESC", "SELECT 1/0"}) {
      fmt::print("> {}\n", sql);
      const auto failure = io::run_blocking(*executor, session->simple_query(sql, printer));
      if (!failure) continue;
      fmt::print("ERROR {}: {}\n", failure->state.text(), failure->message);
      ++failures;
    }
    io::run_blocking(*executor, session->close());
  }
  database->close();
  executor->stop();
  return failures == 1 ? 0 : 1;  // the division fails, as it should
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : "data-example");
  } catch (const rustbd::Error& e) {
    fmt::print(stderr, "{}\n", e.message);
    return 1;
  }
}
