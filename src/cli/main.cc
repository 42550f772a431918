// The program `rustbd`: reads the command line and calls the subcommand.
#include <CLI/CLI.hpp>

#include <fstream>

#include "rustbd/base/error.h"
#include "rustbd/cli/commands.h"
#include "rustbd/server/server.h"

namespace {

using rustbd::cli::OutputFormat;

struct ServeFlags {
  std::string config_file, data = "./data";
  bool insecure = false;
  std::map<std::string, std::string> keys;  // configuration keys given as flags
};

/// For paths and targets that have a meaning when they are left out: a variable that is not set must not take
/// it.
std::string not_empty(const std::string& value) {
  return value.empty() ? "a value is needed, not an empty text (a variable that is not set?)" : "";
}

/// File, variables and flags together. Throws Error.
rustbd::server::Config read_config(const ServeFlags& flags) {
  rustbd::server::Config config;
  auto file = flags.config_file;
  if (file.empty() && std::ifstream{flags.data + "/rustbd.toml"}.good()) file = flags.data + "/rustbd.toml";
  if (!file.empty()) config.read_file(file);
  config.read_environment(environ);
  for (const auto& [key, value] : flags.keys) config.set(key, value, rustbd::server::Source::kFlag);
  return config;
}

void add_serve(CLI::App& serve, ServeFlags& flags) {
  serve
      .add_option("--config", flags.config_file,
                  "configuration file (default: rustbd.toml in the data directory)")
      ->check(CLI::ExistingFile);
  serve.add_option("--data", flags.data, "data directory, made if absent")->capture_default_str();
  const std::pair<const char*, const char*> kFlags[] = {{"--listen", "server.listen"},
                                                        {"--http", "server.http"},
                                                        {"--log-format", "log.format"},
                                                        {"--log-level", "log.level"}};
  for (const auto& [flag, key] : kFlags)
    serve.add_option_function<std::string>(
        flag, [&flags, key = std::string{key}](const std::string& v) { flags.keys[key] = v; },
        fmt::format("configuration key {}", key));
  serve.add_option_function<std::vector<std::string>>(
      "--set",
      [&flags](const std::vector<std::string>& pairs) {
        for (const auto& p : pairs) {
          const auto equals = p.find('=');
          if (equals == std::string::npos) throw CLI::ValidationError("--set", "expected section.key=value");
          flags.keys[p.substr(0, equals)] = p.substr(equals + 1);
        }
      },
      "any configuration key, as section.key=value");
}

void add_sql(CLI::App& sql, rustbd::cli::SqlOptions& o) {
  sql.set_help_flag("--help", "print this help");  // -h is the host
  sql.add_option("url", o.url, "postgresql://user@host:port/database");
  sql.add_option("-h,--host", o.host, "server's host");
  sql.add_option("-p,--port", o.port, "server's port");
  sql.add_option("-U,--username", o.user, "role");
  sql.add_option("-d,--dbname", o.database, "database");
  sql.add_option("--data", o.data, "work on this data directory, without a server");
  sql.add_option("-c,--command", o.commands, "run this and end; may be repeated")->allow_extra_args(false);
  sql.add_option("-f,--file", o.files, "run this file (-: standard input) and end; may be repeated")
      ->allow_extra_args(false);
  sql.add_option_function<std::vector<std::string>>(
         "-v,--variable",
         [&o](const std::vector<std::string>& pairs) {
           for (const auto& p : pairs) {
             const auto equals = std::min(p.find('='), p.size());
             o.variables[p.substr(0, equals)] = p.substr(std::min(equals + 1, p.size()));
           }
         },
         "set NAME=VALUE; ON_ERROR_STOP=1 ends at the first error")
      ->allow_extra_args(false);
  static const std::map<std::string, OutputFormat> kFormats{{"table", OutputFormat::kTable},
                                                            {"csv", OutputFormat::kCsv},
                                                            {"json", OutputFormat::kJson},
                                                            {"vertical", OutputFormat::kVertical}};
  sql.add_option("--format", o.format, "table, csv, json or vertical")
      ->transform(CLI::CheckedTransformer(kFormats));
  sql.add_flag("--timing", o.timing, "show how long statements take");
}

void add_json_format(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "as JSON");
  command
      .add_option_function<std::string>(
          "--format", [&json](const std::string& format) { json = format == "json"; }, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

void add_check(CLI::App& check, rustbd::cli::CheckOptions& o) {
  check.add_option("--data", o.data, "data directory")->capture_default_str();
  auto* deep = check.add_flag("--deep", o.deep,
                              "also every tree, row, long value and index entry, and the account of space");
  auto* repair = check.add_flag(
      "--repair", o.repair,
      "make damaged pages of tables anew from the kept log and damaged indexes from their tables, "
      "where that is possible; then as --deep");
  repair->excludes(deep);
  check.add_flag("--fast")
      ->description("superblock, page directory, page images and log only (the default)")
      ->excludes(deep)
      ->excludes(repair);
  add_json_format(check, o.json);
}

CLI::App* add_log_dump(CLI::App& log, rustbd::cli::LogDumpOptions& o) {
  auto* dump = log.add_subcommand("dump", "print the log's batches and events; changes nothing");
  dump->add_option("--data", o.data, "data directory")->capture_default_str();
  dump->add_option("--from", o.from, "first position, like 0/3A1F08 or decimal");
  dump->add_option("--to", o.to, "end before this position");
  dump->add_option("--table", o.table, "only events of this table: name, schema.name or id");
  add_json_format(*dump, o.json);
  return dump;
}

CLI::App* add_log_truncate(CLI::App& log, rustbd::cli::LogTruncateOptions& o) {
  auto* truncate = log.add_subcommand(
      "truncate", "give up the end of a damaged log; says what goes, and drops it only with --drop");
  truncate->add_option("--data", o.data, "data directory")->capture_default_str();
  truncate->add_option("--at", o.at, "the first position that goes")->required();
  truncate->add_flag("--drop", o.really_drop, "do it: the commits are lost for good");
  return truncate;
}

struct BackupCommands {
  CLI::App *backup, *list, *verify;
};

BackupCommands add_backup(CLI::App& app, rustbd::cli::BackupCommand& o, std::string& directory) {
  BackupCommands out{};
  auto* backup = out.backup =
      app.add_subcommand("backup", "back up a running server; list and verify backups");
  backup->set_help_flag("--help", "print this help");  // -h is the host
  backup->add_option("--to", o.to, "directory on the server, made if absent, else empty")->check(not_empty);
  backup
      ->add_option("--incremental-from", o.parent, "an earlier backup: only what has changed since is copied")
      ->check(not_empty);
  backup->add_option("--compress", o.compression, "zstd, lz4 or none")
      ->check(CLI::IsMember({"zstd", "lz4", "none"}))
      ->capture_default_str();
  backup->add_option_function<double>(
      "--rate",
      [&o](double mb) {
        if (!(mb >= 0 && mb <= 1e9))  // no number is neither
          throw CLI::ValidationError("--rate", "MB/s, from 0 (as fast as it goes) to 1e9");
        o.bytes_per_second = static_cast<std::uint64_t>(mb * 1e6);
      },
      "write at most so many MB/s");
  auto& c = o.connection;
  backup->add_option("url", c.url, "postgresql://user@host:port/database");
  backup->add_option("-h,--host", c.host, "server's host");
  backup->add_option("-p,--port", c.port, "server's port");
  backup->add_option("-U,--username", c.user, "role");
  out.list = backup->add_subcommand("list", "the backups in a directory");
  out.list->add_option("directory", directory, "a backup, or a directory of backups")->required();
  out.verify =
      backup->add_subcommand("verify", "read a backup, and those that it needs, and check every checksum");
  out.verify->add_option("directory", directory, "the backup")->required();
  return out;
}

CLI::App* add_restore(CLI::App& app, rustbd::cli::RestoreCommand& o) {
  auto* restore =
      app.add_subcommand("restore", "make a data directory from a backup, as it was at some moment");
  restore->add_option("--from", o.from, "the backup")->required()->check(not_empty);
  auto* to =
      restore->add_option("--to", o.to, "the data directory, made if absent, else empty")->check(not_empty);
  restore
      ->add_option("--archive", o.archives, "a directory of log segments (wal.archive_to); may be repeated")
      ->check(not_empty)
      ->allow_extra_args(false);
  auto* target = restore->add_option_group("target", "the moment; without one all log that there is");
  target->add_option("--target-time,--to-time", o.target_time, "up to the first commit after this time")
      ->check(not_empty);
  target->add_option("--target-lsn,--to-lsn", o.target_lsn, "up to this position in the log")
      ->check(not_empty);
  target->add_option("--target-name,--to-name", o.target_name, "up to this restore point")->check(not_empty);
  target->require_option(0, 1);
  restore->add_flag("--dry-run", o.dry_run, "only verify the backup and look for the log segments");
  restore->callback([&o, to] {
    if (to->empty() && !o.dry_run) throw CLI::RequiredError("--to");
  });
  return restore;
}

/// The shell's defaults are psql's variables, then RustBD's own port.
void fill_defaults(rustbd::cli::SqlOptions& o) {
  if (!o.url.empty() || !o.data.empty()) return;
  if (const char* url = std::getenv("DATABASE_URL");
      url != nullptr && o.host.empty() && o.port.empty() && o.user.empty() && o.database.empty()) {
    o.url = url;
    return;
  }
  const auto fill = [](std::string& value, const char* variable, const char* fallback) {
    if (value.empty() && std::getenv(variable) == nullptr) value = fallback;
  };
  fill(o.host, "PGHOST", "127.0.0.1");
  fill(o.port, "PGPORT", "5433");
  fill(o.user, "PGUSER", "postgres");
  fill(o.database, "PGDATABASE", "postgres");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"RustBD: an SQL server that speaks PostgreSQL's protocol"};
  app.set_version_flag("--version", std::string{"rustbd "} + RUSTBD_VERSION);
  app.require_subcommand(1);
  ServeFlags serve_flags;
  rustbd::cli::SqlOptions sql_options;
  rustbd::cli::CheckOptions check_options;
  bool insecure = false, config_json = false;
  auto* serve = app.add_subcommand("serve", "run the server in the foreground");
  add_serve(*serve, serve_flags);
  serve->add_flag("--insecure", insecure, "no password and no TLS; loopback addresses only");
  auto* sql = app.add_subcommand("sql", "SQL shell on a running server or on a data directory");
  add_sql(*sql, sql_options);
  auto* check = app.add_subcommand("check", "verify a stopped data directory: pages and log, or everything");
  add_check(*check, check_options);
  auto* log = app.add_subcommand("log", "the event log of a data directory");
  log->require_subcommand(1);
  rustbd::cli::LogDumpOptions dump_options;
  rustbd::cli::LogTruncateOptions truncate_options;
  auto* log_dump = add_log_dump(*log, dump_options);
  auto* log_truncate = add_log_truncate(*log, truncate_options);
  rustbd::cli::BackupCommand backup_options;
  rustbd::cli::RestoreCommand restore_options;
  std::string backup_directory;
  const auto backups = add_backup(app, backup_options, backup_directory);
  const auto* restore = add_restore(app, restore_options);
  auto* config =
      app.add_subcommand("config", "print every configuration key, its value and where that came from");
  add_serve(*config, serve_flags);
  config->add_flag("--json", config_json, "as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? rustbd::cli::kOk : rustbd::cli::kUsage;
  }
  if (sql->parsed()) {
    fill_defaults(sql_options);
    return rustbd::cli::run_sql(sql_options);
  }
  if (check->parsed()) return rustbd::cli::run_check(check_options);
  if (log_dump->parsed()) return rustbd::cli::run_log_dump(dump_options);
  if (log_truncate->parsed()) return rustbd::cli::run_log_truncate(truncate_options);
  if (backups.list->parsed()) return rustbd::cli::run_backup_list(backup_directory);
  if (backups.verify->parsed()) return rustbd::cli::run_backup_verify(backup_directory);
  if (backups.backup->parsed()) {
    if (backup_options.to.empty()) {
      fmt::print(stderr, "rustbd backup: --to is required\n");
      return rustbd::cli::kUsage;
    }
    fill_defaults(backup_options.connection);
    return rustbd::cli::run_backup(backup_options);
  }
  if (restore->parsed()) return rustbd::cli::run_restore(restore_options);
  try {
    const auto settings = read_config(serve_flags);
    if (config->parsed()) return rustbd::cli::run_config(settings, config_json);
    return rustbd::server::serve(
        {serve_flags.data, insecure, settings, [serve_flags] { return read_config(serve_flags); }});
  } catch (const rustbd::Error& e) {
    fmt::print(stderr, "rustbd: {}\n", e.message);
    if (!e.hint.empty()) fmt::print(stderr, "{}\n", e.hint);
    return rustbd::cli::kFailed;
  }
}
