// LogConsumers: who still needs the log, by name, with the position up to which each has it (I12). The base
// of replicas and subscriptions.
//
// File <directory>/consumers, replaced as a whole (written, synced, renamed, directory synced): u32 magic
// 'RDLC', u32 version, u32 count, per consumer u64 position, u32 length, name; u32 CRC-32C of all before it.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/io/disk.h"
#include "rustbd/log/format.h"

namespace rustbd::log {

enum class ConsumerStatus : std::uint8_t {
  kOk,
  kExists,    // create: the name is taken
  kNotFound,  // advance, drop
  kIoError,   // it could not be made durable: nothing has changed
  kNoSpace,   // the same, as the disk is full
};

/// Threads: any; create(), drop() and advance() over a segment's end block for two syncs.
class LogConsumers {
 public:
  struct Consumer {
    std::string name;
    Lsn position;  // it has all before
  };

  LogConsumers(io::Disk& disk, std::string directory, Geometry geometry);
  /// At start. False: the file is damaged or cannot be read. None: no consumers.
  [[nodiscard]] bool load();

  /// Durable when it returns kOk. @pre the log at `position` is kept now, e.g. the log's durable end.
  ConsumerStatus create(const std::string& name, Lsn position);
  /// Positions never go back. Durable (and felt by hold()) only when it comes into another segment: after a
  /// crash a consumer may be told of a position up to a segment back.
  ConsumerStatus advance(const std::string& name, Lsn position);
  ConsumerStatus drop(const std::string& name);
  [[nodiscard]] std::vector<Consumer> list() const;
  /// The log from there on is needed by some consumer; none: by nobody.
  [[nodiscard]] Lsn hold() const;

 private:
  struct State {
    Lsn position, saved;
  };
  using Map = std::map<std::string, State>;
  /// Writes `next` with every position as it is now; then it is the state.
  ConsumerStatus save(Map next);

  io::Disk& disk_;
  const std::string directory_;
  const Geometry geometry_;
  std::mutex save_mutex_;     // one change of the file at a time; before mutex_
  mutable std::mutex mutex_;  // protects consumers_
  Map consumers_;
};

}  // namespace rustbd::log
