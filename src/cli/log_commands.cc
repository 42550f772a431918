// `rustbd log dump` and `rustbd log truncate`: the event log of a directory, read without a server.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "rustbd/base/error.h"
#include "rustbd/catalog/store.h"
#include "rustbd/catalog/tree_names.h"
#include "rustbd/cli/commands.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"
#include "rustbd/server/data_directory.h"
#include "rustbd/server/embedded.h"
#include "rustbd/server/overlay_disk.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/txn/cut_log.h"
#include "rustbd/txn/log_decoder.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::cli {

Lsn parse_lsn(const std::string& text) {
  const auto number = [&](std::string_view part, int base) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), value, base);
    if (part.empty() || failed != std::errc{} || end != part.data() + part.size())
      throw error(sqlstate::kInvalidParameterValue, "\"{}\" is no position in the log (like 0/3A1F08)", text);
    return value;
  };
  const auto slash = text.find('/');
  if (slash == std::string::npos) return Lsn{number(text, 10)};
  const std::string_view all{text};
  return Lsn{number(all.substr(0, slash), 16) << 32 | number(all.substr(slash + 1), 16)};
}

namespace {

constexpr const char* kLogDirectory = "wal";

std::string time_text(std::uint64_t wall_us) {
  const auto seconds = static_cast<std::time_t>(wall_us / 1'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, wall_us % 1'000'000);
}

/// The tables of a directory as the last checkpoint left them, or as recovery would; for names and layouts.
class Tables {
 public:
  Tables(io::Environment environment, const storage::EncryptionOptions& encryption, bool replay)
      : disk_(server::make_overlay_disk(*environment.disk)) {
    environment.disk = disk_.get();
    txn::Options o;
    o.buffer_bytes = std::uint64_t{32} << 20;
    o.read_only = o.examine = true;
    o.encryption = encryption;
    o.replay_log = replay;
    o.background = o.preallocate_log = false;
    system = txn::TransactionSystem::open(environment, o);
    if (system->layout_of(0, catalog::CatalogStore::kObjectTable) == nullptr) return;
    const catalog::CatalogStore store(*system, {});
    catalog = store.committed();
  }

 private:
  std::unique_ptr<io::Disk> disk_;

 public:
  std::unique_ptr<txn::TransactionSystem> system;
  std::shared_ptr<const catalog::CatalogSnapshot> catalog;
};

/// nullptr: they cannot be read; `*why` says what is missing then.
std::unique_ptr<Tables> open_tables(io::Environment environment, const storage::EncryptionOptions& encryption,
                                    bool replay, std::string* why) {
  try {
    return std::make_unique<Tables>(environment, encryption, replay);
  } catch (const Error& e) {
    *why = e.message;
    return nullptr;
  }
}

class Dumper {
 public:
  Dumper(const LogDumpOptions& options, txn::LogDecoder& decoder, const catalog::CatalogSnapshot* catalog)
      : options_(options), decoder_(decoder), catalog_(catalog) {}

  void batch(const log::BatchView& view) {
    const auto& h = view.header;
    std::vector<std::string> events;
    bool any = options_.table.empty();
    log::EventReader in{view.events};
    log::Event event;
    std::uint32_t seen = 0;
    for (; seen < h.n_events && in.next(event); ++seen) {
      const auto decoded = decoder_.decode(event);
      const std::string name = table_name(event.table);
      if (!options_.table.empty() && !wanted(event.table, name)) continue;
      any = met_ = true;
      if (!skip_) events.push_back(options_.json ? event_json(decoded, name) : event_line(decoded, name));
    }
    const bool sealed = (h.flags & log::kFlagEncrypted) != 0 && h.n_events != 0 && view.events.empty();
    if (sealed) events.emplace_back(options_.json ? "{\"sealed\":true}" : "  sealed with a key that is gone");
    else if (seen != h.n_events)
      events.push_back(options_.json ? "{\"damaged\":true}" : "  events cannot be read");
    if (skip_ || !any) return;
    if (options_.json) {
      std::string list;
      for (const auto& e : events) list += (list.empty() ? "" : ",") + e;
      fmt::print(
          "{{\"lsn\":\"{}\",\"end\":\"{}\",\"kind\":\"{}\",\"txid\":{},\"commit_ts\":{},\"time\":\"{}\","
          "\"role\":{},\"key_id\":{},"
          "\"durable_lsn\":\"{}\",\"previous_fragment\":{},\"events\":[{}]}}\n",
          to_text(view.start), to_text(view.end), txn::to_text(h.kind), h.txid, h.commit_ts,
          time_text(h.wall_clock_us), h.role_oid, h.key_id, to_text(Lsn{h.durable_lsn}),
          view.fragment.prev_lsn.is_none() ? "null" : json_text(to_text(view.fragment.prev_lsn)), list);
      return;
    }
    fmt::print("{} {} txid {} ts {} at {} role {} events {}{}{}\n", to_text(view.start), txn::to_text(h.kind),
               h.txid, h.commit_ts, time_text(h.wall_clock_us), h.role_oid, h.n_events,
               h.key_id == 0 ? std::string() : fmt::format(" key {}", h.key_id),
               view.fragment.prev_lsn.is_none() ? std::string()
                                                : fmt::format(" after the first {} of {}", view.fragment.keep,
                                                              to_text(view.fragment.prev_lsn)));
    for (const auto& e : events) fmt::print("{}\n", e);
  }
  /// Batches before the first wanted one are decoded all the same: they may change layouts.
  void skip(bool on) { skip_ = on; }
  /// A batch of the wanted table has been met, if only one of those skipped.
  [[nodiscard]] bool met() const { return met_; }

 private:
  [[nodiscard]] std::string table_name(TableId table) const {
    if (catalog_ == nullptr) return {};
    const auto relation = relation_of(table);
    return relation == nullptr ? std::string() : relation->schema_name + '.' + relation->name;
  }
  [[nodiscard]] std::shared_ptr<const catalog::Relation> relation_of(TableId table) const {
    if (catalog_ == nullptr) return nullptr;
    const auto layout = decoder_.layout(table);
    return layout == nullptr || layout->database == 0 ? nullptr : catalog_->relation(layout->relation);
  }
  [[nodiscard]] bool wanted(TableId table, const std::string& name) const {
    const auto dot = name.find('.');
    return options_.table == name || (dot != std::string::npos && options_.table == name.substr(dot + 1)) ||
           options_.table == std::to_string(table.raw());
  }
  [[nodiscard]] std::string column_name(TableId table, txn::ColumnNumber column) const {
    const auto relation = relation_of(table);
    if (relation != nullptr && column < relation->columns.size()) return relation->columns[column].name;
    return fmt::format("column {}", column + 1);
  }

  std::string event_line(const txn::DecodedEvent& e, const std::string& name) {
    std::string line = fmt::format("  {}", e.op);
    if (!e.table.is_none()) line += ' ' + (name.empty() ? fmt::format("table {}", e.table.raw()) : name);
    if (!e.row.is_none()) line += fmt::format(" row {}", e.row.raw());
    if (!e.text.empty()) line += (e.known ? ": " : " raw: ") + e.text;
    const auto list = [&](const char* title, const auto& values) {
      if (values.empty()) return;
      line += title;
      std::string separator;
      for (const auto& v : values) {
        line += fmt::format("{}{}={}", std::exchange(separator, ", "), column_name(e.table, v.column),
                            v.is_null ? "null" : json_text(v.text));
      }
    };
    list(e.op == "UPDATE" ? " from " : " had ", e.before);
    list(e.op == "UPDATE" ? " to " : " ", e.after);
    return line;
  }

  std::string event_json(const txn::DecodedEvent& e, const std::string& name) {
    std::string out = fmt::format("{{\"op\":\"{}\"", e.op);
    if (!e.table.is_none()) out += fmt::format(",\"table_id\":{}", e.table.raw());
    if (!name.empty()) out += ",\"table\":" + json_text(name);
    if (!e.row.is_none()) out += fmt::format(",\"row\":{}", e.row.raw());
    if (!e.text.empty()) out += (e.known ? ",\"text\":" : ",\"raw\":") + json_text(e.text);
    const auto object = [&](const char* key, const auto& values) {
      if (values.empty()) return;
      out += fmt::format(",\"{}\":{{", key);
      std::string separator;
      for (const auto& v : values) {
        out += fmt::format("{}{}:{}", std::exchange(separator, ","),
                           json_text(column_name(e.table, v.column)), v.is_null ? "null" : json_text(v.text));
      }
      out += '}';
    };
    object("before", e.before);
    object("after", e.after);
    return out + '}';
  }

  const LogDumpOptions& options_;
  txn::LogDecoder& decoder_;
  const catalog::CatalogSnapshot* catalog_;
  bool skip_ = false, met_ = false;
};

/// The end, told as recovery would tell it. True: damage.
bool tell_end(bool json, log::ReadOutcome got, const log::LogReader& reader, bool running) {
  const bool damaged = got == log::ReadOutcome::kDamaged || got == log::ReadOutcome::kIoError;
  const std::string text =
      !damaged  ? fmt::format("the log ends at {}", to_text(reader.position()))
      : running ? fmt::format("{} (the server writes just now: it may be sound)", reader.problem())
                : fmt::format("{}; a start refuses", reader.problem());
  if (json)
    fmt::print("{{\"end\":\"{}\",\"damaged\":{},\"text\":{}}}\n", to_text(reader.position()), damaged,
               json_text(text));
  else fmt::print("{}\n", text);
  return damaged && !running;
}

/// In the log that only consumers or retention keep.
void tell_older_damage(bool json, log::ReadOutcome got, const log::LogReader& reader, Lsn kept) {
  const std::string text =
      fmt::format("{}; a start needs the log from {} on only",
                  got == log::ReadOutcome::kEnd ? fmt::format("log damaged at {}", to_text(reader.position()))
                                                : reader.problem(),
                  to_text(kept));
  if (json) fmt::print("{{\"damaged\":true,\"text\":{}}}\n", json_text(text));
  else fmt::print("{}\n", text);
}

/// The decoder has the layouts of the checkpoint, and reading begins at `first`.
void begin_before_checkpoint(io::Disk& disk, const txn::LogPlace& place, const security::KeyRing* keys,
                             Lsn first, txn::LogDecoder& decoder) {
  log::LogReader reader(disk, kLogDirectory, place.geometry, keys);
  reader.leave_sealed(true);
  reader.seek(first);
  reader.set_limit(place.checkpoint);
  while (reader.next() == log::ReadOutcome::kBatch) {
    log::EventReader in{reader.batch().events};
    log::Event event;
    for (std::uint32_t n = 0; n < reader.batch().header.n_events && in.next(event); ++n)
      decoder.start_before(event);
  }
}

int dump(const LogDumpOptions& options, io::Environment environment) {
  io::Disk& disk = *environment.disk;
  const bool running = [&] {
    const auto lock = disk.lock(storage::kLockFileName);
    return !lock && lock.error() == io::IoFailure::kBusy;
  }();
  const txn::LogPlace place(disk);
  const auto encryption = server::encryption_options(server::config_of(options.data));
  const auto keys = server::open_keys(environment, encryption);
  std::string why, no_names;
  const auto begin = open_tables(environment, encryption, false, &why);
  if (begin == nullptr)
    fmt::print(stderr, "rustbd log dump: values are raw, no layout can be read: {}\n", why);
  // Names of tables that are younger than the checkpoint.
  const auto now = running ? nullptr : open_tables(environment, encryption, true, &no_names);
  const auto* catalog = now != nullptr && now->catalog != nullptr ? now->catalog.get()
                        : begin != nullptr                        ? begin->catalog.get()
                                                                  : nullptr;
  log::LogReader older(disk, kLogDirectory, place.geometry, keys.get());
  older.leave_sealed(true);  // only of what a start needs all keys must be there
  if (!older.seek_oldest(place.kept)) fmt::print(stderr, "rustbd log dump: the oldest log cannot be read\n");
  const Lsn first = older.position();
  const Lsn from = options.from.empty() ? first : parse_lsn(options.from);
  const Lsn to = options.to.empty() ? Lsn{~std::uint64_t{0}} : parse_lsn(options.to);
  if (from < first)
    throw error(sqlstate::kInvalidParameterValue, "the log that is there begins at {}", to_text(first));
  txn::LogDecoder decoder(begin != nullptr ? begin->system.get() : nullptr);
  begin_before_checkpoint(disk, place, keys.get(), first, decoder);
  Dumper dumper(options, decoder, catalog);
  const auto read_up_to = [&](log::LogReader& in, Lsn limit) {
    in.set_limit(limit);
    for (;;) {
      const auto got = in.next();
      if (got != log::ReadOutcome::kBatch || in.batch().start >= to) return got;
      dumper.skip(in.batch().start < from);
      dumper.batch(in.batch());
    }
  };
  const auto finish = [&](int code) {
    if (!options.table.empty() && !dumper.met())
      fmt::print(stderr, "rustbd log dump: nothing that was read is of a table \"{}\"\n", options.table);
    return code;
  };
  const auto got_older = read_up_to(older, place.kept);
  if (got_older == log::ReadOutcome::kBatch) return finish(kOk);
  const bool damaged = older.position() < place.kept && !running;
  if (older.position() < place.kept) tell_older_damage(options.json, got_older, older, place.kept);
  log::LogReader reader(disk, kLogDirectory, place.geometry, keys.get());
  reader.seek(place.kept);
  const auto got = read_up_to(reader, {});
  const bool ended = got != log::ReadOutcome::kBatch && tell_end(options.json, got, reader, running);
  return finish(damaged || ended ? kDamage : kOk);
}

/// Batches at or behind `at` that can still be read, wherever they begin; and what goes with them.
struct Dropped {
  std::vector<std::string> batches;
  std::size_t segments = 0;  // whole files
};

Dropped find_dropped(io::Disk& disk, const txn::LogPlace& place, Lsn at) {
  Dropped out;
  const auto listed = disk.list(kLogDirectory);
  if (!listed) throw error(sqlstate::kIoError, "the log cannot be listed: {}", io::to_text(listed.error()));
  const std::uint64_t home = place.geometry.segment_of(at);
  std::vector<std::uint64_t> numbers;
  for (const auto& name : *listed) {
    if (name.size() != 24 || !name.ends_with(".wal")) continue;
    const auto number = place.geometry.segment_of(Lsn{std::stoull(name.substr(0, 20))});
    if (number >= home) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  log::LogReader reader(disk, kLogDirectory, place.geometry);
  reader.leave_sealed();
  for (const std::uint64_t number : numbers) {
    const Lsn first = place.geometry.first_lsn(number);
    if (number != home) ++out.segments;
    const auto file =
        disk.open(fmt::format("{}/{}", kLogDirectory, log::segment_name(first)), {.read_only = true});
    if (!file) continue;
    const auto size = (*file)->size();
    Bytes bytes(size ? *size : 0);
    if (bytes.empty() || !(*file)->read(0, bytes)) continue;
    Bytes body;
    log::BatchView view;
    const std::uint64_t begin =
        number == home ? at.raw() % place.geometry.segment_bytes() : log::kSegmentHeaderBytes;
    for (std::uint64_t i = begin; i + sizeof(log::BatchHeader) <= bytes.size(); i += log::kBatchAlignment) {
      if (load<std::uint32_t>(bytes.data() + i) != log::kBatchMagic) continue;
      const Lsn lsn{first.raw() + i};
      if (!reader.read_at(lsn, body, view) || view.header.kind == log::BatchKind::kPad) continue;
      out.batches.push_back(fmt::format("{} {} txid {} at {} events {}", to_text(lsn),
                                        txn::to_text(view.header.kind), view.header.txid,
                                        time_text(view.header.wall_clock_us), view.header.n_events));
    }
  }
  return out;
}

/// Of log files behind the cut in the archive that is configured; empty: none.
std::string archived_behind(const LogTruncateOptions& options, const txn::LogPlace& place, Lsn at) {
  const std::string archive = server::config_of(options.data).text("wal.archive_to");
  if (archive.empty() || !std::filesystem::is_directory(archive)) return {};
  const auto all = log::list_segments(*io::make_real_disk(archive), ".");
  if (!all) throw error(sqlstate::kIoError, "\"{}\" cannot be listed: {}", archive, io::to_text(all.error()));
  for (const Lsn first : *all)
    if (place.geometry.segment_of(first) >= place.geometry.segment_of(at))
      return fmt::format("the archive \"{}\" has the log from {} on", archive, to_text(first));
  return {};
}

int truncate(const LogTruncateOptions& options, io::Disk& disk) {
  const auto lock = disk.lock(storage::kLockFileName);
  if (!lock && lock.error() == io::IoFailure::kBusy)
    throw error(sqlstate::kObjectInUse, "data directory is in use by another server");
  const txn::LogPlace place(disk);
  const Lsn at = parse_lsn(options.at);
  txn::require_position(disk, place, at);
  const std::string archived = archived_behind(options, place, at);
  const Dropped dropped = find_dropped(disk, place, at);
  for (const auto& line : dropped.batches) fmt::print("drops {}\n", line);
  if (txn::header_is_lost(disk, place, at))
    fmt::print("the segment that holds {} has no good header: what stands in it cannot be listed\n",
               to_text(at));
  fmt::print("{} batches that can be read and everything damaged between them; {} whole segments\n",
             dropped.batches.size(), dropped.segments);
  if (!archived.empty()) fmt::print("{}\n", archived);
  if (!options.really_drop) {
    fmt::print("nothing was changed; with --drop the log ends at {}\n", to_text(at));
    return kOk;
  }
  if (!archived.empty())
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "{}: with a backup it may restore what would be given up here. If not, give wal.archive_to a "
                "new directory first",
                archived);
  txn::cut_log(disk, *io::make_system_random(), place, at);
  fmt::print("the log ends at {} and goes on as another one: make a full backup after the next start{}\n",
             to_text(at),
             server::config_of(options.data).text("wal.archive_to").empty()
                 ? ""
                 : ", and give wal.archive_to a new directory");
  return kOk;
}

}  // namespace

int run_log_dump(const LogDumpOptions& options) {
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(1);
  try {
    const auto directory = server::open_data_directory(options.data, false);
    return dump(options, {directory.disk.get(), clock.get(), random.get(), executor.get()});
  } catch (const Error& e) {
    fmt::print(stderr, "rustbd log dump: {}\n", e.message);
    return e.state == sqlstate::kDataCorrupted ? kDamage : kFailed;
  }
}

int run_log_truncate(const LogTruncateOptions& options) {
  try {
    const auto directory = server::open_data_directory(options.data, false);
    return truncate(options, *directory.disk);
  } catch (const Error& e) {
    fmt::print(stderr, "rustbd log truncate: {}\n", e.message);
    return e.state == sqlstate::kDataCorrupted ? kDamage : kFailed;
  }
}

}  // namespace rustbd::cli
