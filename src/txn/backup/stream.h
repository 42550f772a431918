// A file of a backup: a stream of bytes in numbered blocks, each compressed and with a checksum, closed by an
// end block (docs/formats/backup.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rustbd/base/bytes.h"
#include "rustbd/base/error.h"
#include "rustbd/io/disk.h"
#include "rustbd/storage/pages/extent_image.h"

namespace rustbd::txn {

inline constexpr std::uint32_t kBackupBlockMagic = 0x42424452;  // "RDBB"
inline constexpr std::size_t kBackupBlockBytes = 1 << 20;       // of content, at most

struct BackupBlockHeader {
  std::uint32_t magic = kBackupBlockMagic;
  std::uint8_t version = 1;
  std::uint8_t compression = 0;  // storage::PageCompression
  std::uint8_t kind = 0;         // 1 content, 2 end: the content is u64 bytes of the whole stream
  std::uint8_t zero = 0;
  std::uint32_t number = 0;  // from 0
  std::uint32_t raw_len = 0;
  std::uint32_t stored_len = 0;
  std::uint32_t zero2 = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of this header with 0 here, and of the stored bytes
};
static_assert(sizeof(BackupBlockHeader) == 32 && offsetof(BackupBlockHeader, number) == 8 &&
              offsetof(BackupBlockHeader, checksum) == 24);

/// What the manifest says of a file.
struct BackupFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t digest = 0;  // of the block's checksums, in order; of other files: XXH3-64
  bool operator==(const BackupFile&) const = default;
};

/// Errors are thrown: 53100 and 58030 with the path. Threads: one, which blocks.
class StreamWriter {
 public:
  /// Makes the file. `paced`: called after each block with the bytes written; may wait, or throw.
  StreamWriter(io::Disk& disk, std::string path, storage::PageCompression compression,
               std::function<void(std::uint64_t)> paced);
  void add(ByteSpan bytes);
  /// Durable on return, but for the file's name. `name`: for the manifest.
  BackupFile finish(std::string name);

 private:
  void flush(std::uint8_t kind);

  const std::string path_;
  const storage::PageCompression compression_;
  const std::function<void(std::uint64_t)> paced_;
  std::unique_ptr<io::File> file_;
  Bytes content_, block_;
  std::uint32_t number_ = 0;
  std::uint64_t bytes_ = 0, raw_ = 0, digest_ = 0;
};

/// Every byte that it hands out has been verified. Throws Error XX001 (damaged: the path and where), 58030,
/// 58P01 (no such file). Threads: one, which blocks.
class StreamReader {
 public:
  StreamReader(io::Disk& disk, std::string path);
  [[nodiscard]] bool at_end();
  /// All of it; XX001 where the stream ends before.
  void read(std::span<std::byte> into);
  template <class T>
  T number() {
    T value{};
    read(std::as_writable_bytes(std::span{&value, 1}));
    return value;
  }
  /// @pre at_end(). Compares with what the manifest says.
  void verify(const BackupFile& expected) const;
  [[nodiscard]] Error damaged(std::string_view what) const;

 private:
  void fill();

  const std::string path_;
  std::unique_ptr<io::File> file_;
  std::uint64_t size_ = 0, offset_ = 0, raw_ = 0, digest_ = 0;
  std::uint32_t next_ = 0;
  bool ended_ = false;
  Bytes content_, block_;
  std::size_t used_ = 0;
};

/// 53100 or 58030, unless it is done.
void require_backup(const io::IoResult<>& done, std::string_view what, const std::string& path);
template <class T>
void require_backup(const io::IoResult<T>& done, std::string_view what, const std::string& path) {
  if (!done) require_backup(io::IoResult<>{std::unexpected{done.error()}}, what, path);
}
/// Throws 58P01, 58030, 53100.
std::unique_ptr<io::File> open_file(io::Disk& disk, const std::string& path, io::OpenOptions options);
/// A small file as a whole. Throws 58P01, 58030.
Bytes read_small_file(io::Disk& disk, const std::string& path);

}  // namespace rustbd::txn
