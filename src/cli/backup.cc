// `rustbd backup` asks a running server for a backup and waits for it; `rustbd backup list` and `verify` read
// directories; `rustbd restore` makes a data directory.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/cli/commands.h"
#include "rustbd/cli/connection.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/segments.h"
#include "rustbd/server/embedded.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore.h"
#include "rustbd/types/datetime.h"

namespace rustbd::cli {

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in µs from 1970
constexpr std::chrono::milliseconds kPoll{100};

std::string time_text(std::int64_t wall_us) {
  std::string out;
  types::append_timestamptz(wall_us - kPostgresEpochUs, {}, out);
  return out;
}

int fail(std::string_view command, const Error& e) {
  fmt::print(stderr, "rustbd {}: {}\n", command, e.message);
  if (!e.hint.empty()) fmt::print(stderr, "{}\n", e.hint);
  if (e.state == sqlstate::kConnectionFailure) return kNoConnection;
  return e.state == sqlstate::kDataCorrupted ? kDamage : kFailed;
}

// --- the server does it ---

volatile std::sig_atomic_t interrupted = 0;

/// The one row of a statement's answer. Throws what the server says.
std::vector<std::string> ask(Connection& connection, const std::string& sql) {
  std::vector<std::string> row;
  std::optional<ShellError> failure;
  AnswerHandler handler;
  handler.result = [&](const ResultTable& table) {
    if (table.rows.empty()) return;
    for (const auto& value : table.rows.front()) row.push_back(value.value_or(""));
  };
  handler.failure = [&](const ShellError& e) { failure = e; };
  if (connection.run(sql, handler) && !failure) return row;
  const ShellError e = failure.value_or(ShellError{});
  throw Error{sqlstate::kInternalError, fmt::format("{}: {}", e.state, e.message)}.with_hint(
      std::string(e.hint));
}

/// The server has another current directory.
std::string absolute(const std::string& path) {
  const fs::path full = fs::absolute(path).lexically_normal();
  return full.has_filename() ? full.string() : full.parent_path().string();  // "/a/b/"
}

int backup(const BackupCommand& options) {
  const auto connection = connect_to_server(options.connection);
  const auto id =
      ask(*connection, fmt::format("select rustbd_backup({}, {}, {}, {})", quote(absolute(options.to)),
                                   quote(options.parent.empty() ? "" : absolute(options.parent)),
                                   quote(options.compression), options.bytes_per_second))
          .at(0);
  std::signal(SIGINT, [](int) { interrupted = 1; });
  bool asked = false;
  for (;;) {
    const auto job =
        ask(*connection,
            "select state, bytes, from_lsn, to_lsn, sqlstate, message from rustbd_backups where id = " + id);
    if (job.empty()) throw error(sqlstate::kInternalError, "the server does not know backup {} any more", id);
    if (job[0] == "done") {
      fmt::print("backup of {} bytes, restorable from {} on, up to {} without an archive\n", job[1], job[2],
                 job[3]);
      return kOk;
    }
    if (job[0] != "running") {
      fmt::print(stderr, "rustbd backup: {}: {}\n", job[4], job[5]);
      return job[4] == sqlstate::kDataCorrupted.text() ? kDamage : kFailed;
    }
    if (interrupted != 0 && !std::exchange(asked, true))
      (void)ask(*connection, fmt::format("select rustbd_cancel_backup({})", id));
    std::this_thread::sleep_for(kPoll);
  }
}

// --- directories of backups ---

struct Found {
  std::string path;
  txn::BackupManifest manifest;
};

/// `directory` itself and what lies in it; unfinished ones are left out. Those whose manifest is damaged go
/// to `bad` with the reason.
std::vector<Found> find_backups(const std::string& directory, std::vector<std::string>& bad) {
  std::vector<Found> found;
  const auto look = [&](const fs::path& path) {
    std::error_code failure;
    if (!fs::exists(path / txn::kManifestName, failure)) return;
    try {
      found.push_back({path.string(), txn::read_manifest(*io::make_real_disk(path.string()), "")});
    } catch (const Error& e) {
      bad.push_back(fmt::format("{}: {}", path.string(), e.message));
    }
  };
  if (!fs::is_directory(directory))
    throw error(sqlstate::kUndefinedFile, "there is no directory \"{}\"", directory);
  look(directory);
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.is_directory()) look(entry.path());
  std::ranges::sort(found, {}, [](const Found& f) { return f.manifest.ended_us; });
  return found;
}

int list(const std::string& directory) {
  std::vector<std::string> bad;
  const auto found = find_backups(directory, bad);
  for (const auto& [path, m] : found)
    fmt::print("{:016x} {} {} {} bytes, from {} ({}) to {} ({}){}\n", m.id, path,
               m.parent == 0 ? "full" : fmt::format("since {:016x}", m.parent), m.bytes(),
               to_text(m.checkpoint), time_text(m.checkpoint_us), to_text(m.end), time_text(m.ended_us),
               m.encrypted ? ", encrypted" : "");
  if (found.empty() && bad.empty()) fmt::print("no backups in {}\n", directory);
  for (const std::string& line : bad) fmt::print(stderr, "rustbd backup list: {}\n", line);
  return bad.empty() ? kOk : kDamage;
}

/// The backup and those that it needs, the full one first: where they were, or beside it.
std::vector<std::string> chain_of(const std::string& directory) {
  std::vector<std::string> chain{absolute(directory)};
  for (;;) {
    const std::string here = chain.front();
    const auto manifest = txn::read_manifest(*io::make_real_disk(here), "");
    if (manifest.parent == 0) return chain;
    std::string parent;
    const auto try_place = [&](const std::string& path) {
      std::error_code failure;
      if (!parent.empty() || !fs::exists(fs::path(path) / txn::kManifestName, failure)) return;
      if (txn::read_manifest(*io::make_real_disk(path), "").id == manifest.parent) parent = path;
    };
    try_place(manifest.parent_path);
    if (parent.empty()) {
      for (const auto& entry : fs::directory_iterator(fs::path(here).parent_path()))
        if (entry.is_directory()) try_place(entry.path().string());
    }
    if (parent.empty() || std::ranges::find(chain, parent) != chain.end())
      throw error(
          sqlstate::kUndefinedFile,
          "\"{}\" is incremental; the backup {:016x} that it needs is neither in \"{}\" nor beside it", here,
          manifest.parent, manifest.parent_path);
    chain.insert(chain.begin(), parent);
  }
}

int verify(const std::string& directory) {
  for (const std::string& path : chain_of(directory)) {
    const auto disk = io::make_real_disk(path);
    const txn::BackupReader reader(*disk, "");
    reader.verify();
    fmt::print("{}: {} bytes, no damage found\n", path, reader.manifest().bytes());
  }
  return kOk;
}

// --- restore ---

/// RFC 3339 or as PostgreSQL reads it; without a zone UTC.
std::int64_t parse_time(const std::string& text) {
  const std::int64_t time = types::parse_timestamptz(text, -1, {});
  if (!types::is_finite_timestamp(time))
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is no moment to restore to", text)
        .with_hint("Without a target everything that there is is restored.");
  return time + kPostgresEpochUs;
}

/// Throws Error 58P01: there is no log in what was named as an archive.
void require_log(const txn::BackupPlace& archive, const std::string& path) {
  const auto segments = log::list_segments(*archive.disk, archive.directory);
  txn::require_backup(segments, "list", path);
  if (!segments->empty()) return;
  std::string hint;
  if (const auto below = log::list_segments(*archive.disk, txn::kLogDirectory); below && !below->empty())
    hint = fmt::format("Perhaps you meant \"{}\".", (fs::path(path) / txn::kLogDirectory).string());
  throw error(sqlstate::kUndefinedFile, "there are no log segments in \"{}\"", path).with_hint(hint);
}

std::unique_ptr<io::Disk> make_target(const std::string& path) {
  std::error_code failure;
  if (fs::exists(path, failure) && (!fs::is_directory(path, failure) || !fs::is_empty(path, failure)))
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is not an empty directory", path);
  fs::create_directories(path, failure);
  if (!failure) fs::permissions(path, fs::perms::owner_all, failure);
  if (failure)
    throw error(sqlstate::kIoError, "could not make directory \"{}\": {}", path, failure.message());
  const std::string parent = fs::path(absolute(path)).parent_path().string();
  txn::require_backup(io::make_real_disk(parent)->sync_directory(""), "sync", parent);
  return io::make_real_disk(path);
}

/// What a restore that failed has written goes; the directory stays, and is empty.
struct Unfinished {
  explicit Unfinished(std::string directory) : path(std::move(directory)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (path.empty()) return;
    std::error_code failure;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path, failure)) found.push_back(entry.path());
    for (const auto& entry : found) fs::remove_all(entry, failure);
  }
  std::string path;  // empty: nothing goes
};

int restore(const RestoreCommand& command) {
  const auto random = io::make_system_random();
  std::vector<std::unique_ptr<io::Disk>> disks;
  const auto place = [&](const std::string& path) {
    if (!fs::is_directory(path)) throw error(sqlstate::kUndefinedFile, "there is no directory \"{}\"", path);
    disks.push_back(io::make_real_disk(path));
    return txn::BackupPlace{disks.back().get(), ""};
  };
  const auto archive = [&](const std::string& path) {
    const fs::path whole = fs::path(absolute(path)).lexically_normal();
    const fs::path directory = whole.filename().empty() ? whole.parent_path() : whole;
    const fs::path data = directory.parent_path();
    if (directory.filename() != txn::kLogDirectory || !fs::exists(data / storage::kDataFileName))
      return place(path);
    // The keys of its log stand in the data directory.
    return txn::BackupPlace{place(data.string()).disk, txn::kLogDirectory};
  };
  txn::RestoreOptions options;
  for (const std::string& path : chain_of(command.from)) options.chain.push_back(place(path));
  for (const std::string& path : command.archives) {
    options.archives.push_back(archive(path));
    require_log(options.archives.back(), path);
  }
  if (!command.target_time.empty()) options.target.time_us = parse_time(command.target_time);
  if (!command.target_lsn.empty()) options.target.lsn = parse_lsn(command.target_lsn);
  if (!command.target_name.empty()) options.target.name = command.target_name;
  options.random = random.get();
  options.log_line = [](std::string_view line) { fmt::print("{}\n", line); };
  if (options.target.name)
    options.master_key = server::encryption_options(server::config_of(command.to)).master_key;
  std::unique_ptr<io::Disk> to;
  if (!command.dry_run) {
    to = make_target(command.to);
    options.to = to.get();
  }
  Unfinished unfinished{command.dry_run ? "" : command.to};
  const auto done = txn::restore_backup(options);
  unfinished.path.clear();
  if (command.dry_run) {
    fmt::print("no damage found; it can be restored, at least up to {}\n", to_text(done.end));
    return kOk;
  }
  fmt::print("restored to {}: {} bytes of data, {} commits behind the checkpoint{}\n", command.to,
             done.data_bytes, done.commits,
             done.commits == 0 ? "" : ", the last one at " + time_text(done.last_commit_us));
  fmt::print("the log ends at {}; the server replays it at its first start\n", to_text(done.end));
  return kOk;
}

}  // namespace

int run_backup(const BackupCommand& options) {
  try {
    return backup(options);
  } catch (const Error& e) {
    return fail("backup", e);
  }
}

int run_backup_list(const std::string& directory) {
  try {
    return list(directory);
  } catch (const Error& e) {
    return fail("backup list", e);
  }
}

int run_backup_verify(const std::string& directory) {
  try {
    return verify(directory);
  } catch (const Error& e) {
    return fail("backup verify", e);
  }
}

int run_restore(const RestoreCommand& options) {
  try {
    return restore(options);
  } catch (const Error& e) {
    return fail("restore", e);
  }
}

}  // namespace rustbd::cli
