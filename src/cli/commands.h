// The subcommands, each with its flags as plain data. They return the program's exit code.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/server/config.h"

namespace rustbd::cli {

enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kSqlError = 3, kDamage = 4, kNoConnection = 5 };

enum class OutputFormat : std::uint8_t { kTable, kCsv, kJson, kVertical };

struct SqlOptions {
  std::string url;  // or the five below
  std::string host, port, user, database;
  std::string data;                              // not empty: no server, this directory
  std::vector<std::string> commands;             // -c, in order
  std::vector<std::string> files;                // -f
  std::map<std::string, std::string> variables;  // -v
  OutputFormat format = OutputFormat::kTable;
  bool timing = false;
};
int run_sql(const SqlOptions& options);

struct CheckOptions {
  std::string data = "./data";
  bool deep = false;  // tables and indexes too, after a recovery in memory
  bool repair =
      false;  // the same after a real recovery, which makes anew what the log and the rows have all of
  bool json = false;
};
int run_check(const CheckOptions& options);

struct LogDumpOptions {
  std::string data = "./data";
  std::string from, to;  // positions, `A/1B2C` or decimal; empty: all that is kept
  std::string table;     // name, schema.name or id; empty: all
  bool json = false;     // one object a line
};
int run_log_dump(const LogDumpOptions& options);

struct LogTruncateOptions {
  std::string data = "./data";
  std::string at;            // the first position that goes
  bool really_drop = false;  // without: only says what would go
};
int run_log_truncate(const LogTruncateOptions& options);

struct BackupCommand {
  SqlOptions connection;
  std::string to, parent;  // directories on the server; parent empty: a full backup
  std::string compression = "zstd";
  std::uint64_t bytes_per_second = 0;
};
int run_backup(const BackupCommand& options);
int run_backup_list(const std::string& directory);
int run_backup_verify(const std::string& directory);

struct RestoreCommand {
  std::string from, to;
  std::vector<std::string> archives;
  std::string target_time, target_lsn, target_name;  // at most one
  bool dry_run = false;
};
int run_restore(const RestoreCommand& options);

/// `A/1B2C` or a decimal number. Throws Error 22023.
Lsn parse_lsn(const std::string& text);
/// An SQL string literal.
std::string quote(std::string_view text);
/// A JSON string literal.
std::string json_text(std::string_view s);

/// `rustbd config`: every key with its value and where it came from.
int run_config(const server::Config& config, bool json);

}  // namespace rustbd::cli
