// The end of recovery's reading: what was found is made durable again, and the old segment is closed.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/log/log_reader.h"

namespace rustbd::log {

namespace {

constexpr std::uint64_t block_floor(std::uint64_t at) { return at / kBlockBytes * kBlockBytes; }

class Closer {
 public:
  Closer(io::Disk& disk, const std::string& directory, const Geometry& geometry, const LogEnd& end)
      : disk_(disk), directory_(directory), geometry_(geometry), end_(end) {}

  io::IoResult<> rewrite_tail();
  /// Returns the first segment that holds nothing of the old log.
  io::IoResult<std::uint64_t> write_pad(std::uint32_t* prev_crc);

 private:
  [[nodiscard]] std::string path(std::uint64_t number) const {
    return directory_ + "/" + segment_name(geometry_.first_lsn(number));
  }
  io::IoResult<> put(std::uint64_t stream, ByteSpan bytes);
  io::IoResult<> write_header(std::uint64_t number);

  io::Disk& disk_;
  const std::string& directory_;
  const Geometry& geometry_;
  const LogEnd& end_;
};

// Blocks since the last recorded durable_lsn: after a failed sync the OS cache may show what the disk does
// not hold.
io::IoResult<> Closer::rewrite_tail() {
  if (end_.durable.is_none()) return {};
  std::uint64_t at = block_floor(geometry_.to_stream(std::min(end_.durable, end_.end)));
  const std::uint64_t end = geometry_.to_stream(end_.end);
  while (at < end) {
    const std::uint64_t number = at / geometry_.payload_bytes();
    const std::uint64_t stop = std::min(end, (number + 1) * geometry_.payload_bytes());
    const auto file = disk_.open(path(number), {});
    if (!file) return std::unexpected{file.error()};
    Bytes block(kSegmentHeaderBytes);
    if (const auto read = (*file)->read(0, block); !read) return read;
    if (const auto written = (*file)->write(0, block); !written) return written;
    for (; at < stop; at += block.size()) {
      const std::uint64_t offset = kSegmentHeaderBytes + at % geometry_.payload_bytes();
      if (const auto read = (*file)->read(offset, block); !read) return read;
      // What stands behind the end is no part of the log any more.
      if (end - at < block.size()) std::memset(block.data() + (end - at), 0, block.size() - (end - at));
      if (const auto written = (*file)->write(offset, block); !written) return written;
    }
    if (const auto synced = (*file)->datasync(); !synced) return synced;
  }
  return {};
}

io::IoResult<> Closer::write_header(std::uint64_t number) {
  const auto file = disk_.open(path(number), {.create = true});
  if (!file) return std::unexpected{file.error()};
  const auto size = (*file)->size();
  if (!size) return std::unexpected{size.error()};
  if (*size < geometry_.segment_bytes()) {  // it is new, or an earlier attempt got no further
    if (const auto got = (*file)->allocate(0, geometry_.segment_bytes()); !got) return got;
  }
  SegmentHeader header{};
  header.first_lsn = geometry_.first_lsn(number).raw();
  header.segment_no = number;
  header.wal_uuid = end_.wal_uuid;
  header.timeline = end_.timeline;
  header.salt = end_.salt;
  Bytes block(kSegmentHeaderBytes);
  encode_segment_header(header, std::span<std::byte, kSegmentHeaderBytes>{block});
  if (const auto written = (*file)->write(0, block); !written) return written;
  if (const auto synced = (*file)->datasync(); !synced) return synced;
  return disk_.sync_directory(directory_);
}

// Writes across a segment end.
io::IoResult<> Closer::put(std::uint64_t stream, ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::uint64_t number = stream / geometry_.payload_bytes();
    const std::uint64_t inside = stream % geometry_.payload_bytes();
    const std::size_t n = std::min<std::uint64_t>(bytes.size(), geometry_.payload_bytes() - inside);
    const auto file = disk_.open(path(number), {});
    if (!file) return std::unexpected{file.error()};
    if (const auto written = (*file)->write(kSegmentHeaderBytes + inside, bytes.first(n)); !written)
      return written;
    if (const auto synced = (*file)->datasync(); !synced) return synced;
    bytes = bytes.subspan(n);
    stream += n;
  }
  return {};
}

io::IoResult<std::uint64_t> Closer::write_pad(std::uint32_t* prev_crc) {
  const std::uint64_t number = geometry_.segment_of(end_.end);
  const std::uint64_t at = geometry_.to_stream(end_.end);
  if (at == number * geometry_.payload_bytes()) return number;  // nothing stands in it
  RUSTBD_ASSERT(end_.salt != 0, "the end lies behind a batch of a segment with a valid header");
  std::uint64_t room = (number + 1) * geometry_.payload_bytes() - at;
  std::uint64_t next = number + 1;
  if (room < sizeof(BatchHeader)) {  // the PAD's header goes on in the next segment, which it then fills
    room += geometry_.payload_bytes();
    if (const auto written = write_header(next); !written) return std::unexpected{written.error()};
    ++next;
  }
  BatchHeader pad;
  pad.kind = BatchKind::kPad;
  pad.lsn = end_.end.raw();
  pad.len = static_cast<std::uint32_t>(room);
  pad.durable_lsn = end_.end.raw();
  pad.prev_crc = end_.last_crc;
  pad.crc = batch_crc(end_.salt, pad, 0, 0);
  *prev_crc = pad.crc;
  if (const auto written = put(at, {reinterpret_cast<const std::byte*>(&pad), sizeof pad}); !written)
    return std::unexpected{written.error()};
  return next;
}

}  // namespace

io::IoResult<LogStart> close_log(io::Disk& disk, io::Random& random, const std::string& directory,
                                 const Geometry& geometry, const LogEnd& end) {
  Closer closer{disk, directory, geometry, end};
  if (const auto rewritten = closer.rewrite_tail(); !rewritten) return std::unexpected{rewritten.error()};
  LogStart start;
  start.prev_crc = end.last_crc;
  const auto next = closer.write_pad(&start.prev_crc);
  if (!next) return std::unexpected{next.error()};
  start.first = geometry.first_batch(*next);
  start.wal_uuid = end.wal_uuid;
  start.timeline = end.timeline;
  start.salt = random.next_u64() | 1;
  start.last_ts = end.last_ts;
  return start;
}

}  // namespace rustbd::log
