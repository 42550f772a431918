// Gives up the end of a stopped directory's log: what `rustbd log truncate` does.
#pragma once

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/format.h"

namespace rustbd::txn {

/// Where the kept log begins, and its geometry.
struct LogPlace {
  /// Throws Error XX001: all copies of the superblock are damaged.
  explicit LogPlace(io::Disk& disk);
  log::Geometry geometry;
  Lsn kept, checkpoint;
};

/// Throws Error 22023 unless the log can be read from the last checkpoint on up to `at`, where a batch begins
/// or could.
void require_position(io::Disk& disk, const LogPlace& place, Lsn at);

/// The segment that holds `at` must hold something of the log before that too, and has no good header: what
/// stands in it cannot be verified, and cut_log() makes it a new one.
bool header_is_lost(io::Disk& disk, const LogPlace& place, Lsn at);

/// The header of the segment says that it is of log `wal_uuid`, and of the next timeline; what stands in it
/// stays valid. One without a good header, which holds nothing, stays as it is. Durable on return.
io::IoResult<> begin_other_log(io::File& segment, Lsn first, std::uint64_t wal_uuid);

/// Zeros from there to the segment's end. Durable on return.
io::IoResult<> clear_behind(io::File& segment, const log::Geometry& geometry, Lsn end);

/// The log ends at `at` from now on, and goes on as another one (another wal_uuid), as a restored database's
/// does: neither an archive nor a restore takes what is given up for what comes in its place. Durable on
/// return; cut short at any place it can be repeated, and what is given up is the end of the log or nothing.
/// Throws Error 58030, XX001. @pre require_position(); nobody else has the directory.
void cut_log(io::Disk& disk, io::Random& random, const LogPlace& place, Lsn at);

}  // namespace rustbd::txn
