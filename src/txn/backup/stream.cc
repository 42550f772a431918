#include "rustbd/txn/backup/stream.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "rustbd/base/hash.h"

namespace rustbd::txn {
namespace {

constexpr std::uint8_t kContent = 1, kEnd = 2;
constexpr int kZstdLevel = 3;
constexpr std::uint64_t kSmallFileMax = 64 << 20;

/// The stored bytes go behind the header in `block`. False: they would not be fewer.
bool compress(storage::PageCompression compression, ByteSpan content, Bytes& block) {
  const std::size_t header = sizeof(BackupBlockHeader);
  std::size_t stored = 0;
  if (compression == storage::PageCompression::kLz4) {
    block.resize(header + static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(content.size()))));
    stored = static_cast<std::size_t>(LZ4_compress_default(
        reinterpret_cast<const char*>(content.data()), reinterpret_cast<char*>(block.data() + header),
        static_cast<int>(content.size()), static_cast<int>(block.size() - header)));
  } else if (compression == storage::PageCompression::kZstd) {
    block.resize(header + ZSTD_compressBound(content.size()));
    const std::size_t done = ZSTD_compress(block.data() + header, block.size() - header, content.data(),
                                           content.size(), kZstdLevel);
    stored = ZSTD_isError(done) != 0 ? 0 : done;
  }
  if (stored == 0 || stored >= content.size()) return false;
  block.resize(header + stored);
  return true;
}

bool decompress(std::uint8_t compression, ByteSpan stored, Bytes& content) {
  switch (static_cast<storage::PageCompression>(compression)) {
    case storage::PageCompression::kNone:
      if (stored.size() != content.size()) return false;
      std::memcpy(content.data(), stored.data(), stored.size());
      return true;
    case storage::PageCompression::kLz4:
      return LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()),
                                 reinterpret_cast<char*>(content.data()), static_cast<int>(stored.size()),
                                 static_cast<int>(content.size())) == static_cast<int>(content.size());
    case storage::PageCompression::kZstd:
      return ZSTD_decompress(content.data(), content.size(), stored.data(), stored.size()) == content.size();
  }
  return false;
}

/// `block` begins with `header`, whose checksum counts as 0.
std::uint64_t checksum_of(BackupBlockHeader header, Bytes& block) {
  header.checksum = 0;
  store(block.data(), header);
  return xxh3_64(block.data(), block.size());
}

std::uint64_t chain(std::uint64_t digest, std::uint64_t checksum) {
  const std::uint64_t both[2] = {digest, checksum};
  return xxh3_64(both, sizeof both);
}

}  // namespace

void require_backup(const io::IoResult<>& done, std::string_view what, const std::string& path) {
  if (done) return;
  if (done.error() == io::IoFailure::kNoSpace)
    throw error(sqlstate::kDiskFull, "could not {} \"{}\": No space left on device", what, path);
  throw error(done.error() == io::IoFailure::kNotFound ? sqlstate::kUndefinedFile : sqlstate::kIoError,
              "could not {} \"{}\": {}", what, path, io::to_text(done.error()));
}

std::unique_ptr<io::File> open_file(io::Disk& disk, const std::string& path, io::OpenOptions options) {
  auto file = disk.open(path, options);
  require_backup(file, "open", path);
  return std::move(*file);
}

Bytes read_small_file(io::Disk& disk, const std::string& path) {
  const auto file = disk.open(path, {.read_only = true});
  require_backup(file, "open", path);
  const auto size = (*file)->size();
  require_backup(size, "read", path);
  if (*size > kSmallFileMax) throw error(sqlstate::kDataCorrupted, "\"{}\" is too large", path);
  Bytes content(*size);
  if (!content.empty()) require_backup((*file)->read(0, content), "read", path);
  return content;
}

StreamWriter::StreamWriter(io::Disk& disk, std::string path, storage::PageCompression compression,
                           std::function<void(std::uint64_t)> paced)
    : path_(std::move(path)), compression_(compression), paced_(std::move(paced)) {
  auto file = disk.open(path_, {.create = true});
  require_backup(file, "create", path_);
  file_ = std::move(*file);
  require_backup(file_->truncate(0), "write", path_);
  content_.reserve(kBackupBlockBytes);
}

void StreamWriter::add(ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::size_t now = std::min(bytes.size(), kBackupBlockBytes - content_.size());
    content_.insert(content_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(now));
    bytes = bytes.subspan(now);
    if (content_.size() == kBackupBlockBytes) flush(kContent);
  }
}

void StreamWriter::flush(std::uint8_t kind) {
  BackupBlockHeader header;
  header.kind = kind;
  header.number = number_++;
  header.raw_len = static_cast<std::uint32_t>(content_.size());
  if (kind == kContent && compress(compression_, content_, block_)) {
    header.compression = static_cast<std::uint8_t>(compression_);
  } else {
    block_.resize(sizeof header + content_.size());
    std::memcpy(block_.data() + sizeof header, content_.data(), content_.size());
  }
  header.stored_len = static_cast<std::uint32_t>(block_.size() - sizeof header);
  header.checksum = checksum_of(header, block_);
  store(block_.data(), header);
  digest_ = chain(digest_, header.checksum);
  require_backup(file_->write(bytes_, block_), "write", path_);
  bytes_ += block_.size();
  if (kind == kContent) raw_ += content_.size();
  content_.clear();
  if (paced_) paced_(block_.size());
}

BackupFile StreamWriter::finish(std::string name) {
  if (!content_.empty()) flush(kContent);
  ByteWriter{content_}.fixed(raw_);
  flush(kEnd);
  require_backup(file_->datasync(), "sync", path_);
  return {std::move(name), bytes_, digest_};
}

StreamReader::StreamReader(io::Disk& disk, std::string path) : path_(std::move(path)) {
  auto file = disk.open(path_, {.read_only = true});
  require_backup(file, "open", path_);
  file_ = std::move(*file);
  const auto size = file_->size();
  require_backup(size, "read", path_);
  size_ = *size;
}

Error StreamReader::damaged(std::string_view what) const {
  return error(sqlstate::kDataCorrupted, "the backup is damaged: \"{}\", block {}: {}", path_,
               next_ == 0 ? 0 : next_ - 1, what);
}

void StreamReader::fill() {
  ++next_;
  block_.resize(sizeof(BackupBlockHeader));
  if (size_ - offset_ < block_.size()) throw damaged("the file is cut short");
  require_backup(file_->read(offset_, block_), "read", path_);
  const auto header = load<BackupBlockHeader>(block_.data());
  if (header.magic != kBackupBlockMagic || header.version != 1 || header.raw_len > kBackupBlockBytes ||
      header.stored_len > header.raw_len)
    throw damaged("no block header there");
  if (size_ - offset_ - block_.size() < header.stored_len) throw damaged("the file is cut short");
  block_.resize(sizeof header + header.stored_len);
  const auto stored = std::span{block_}.subspan(sizeof header);
  if (!stored.empty()) require_backup(file_->read(offset_ + sizeof header, stored), "read", path_);
  if (checksum_of(header, block_) != header.checksum) throw damaged("checksum mismatch");
  if (header.number != next_ - 1) throw damaged("it is another block");
  content_.resize(header.raw_len);
  if (!decompress(header.compression, stored, content_)) throw damaged("cannot be decompressed");
  used_ = 0;
  offset_ += block_.size();
  digest_ = chain(digest_, header.checksum);
  if (header.kind == kContent) {
    raw_ += content_.size();
    return;
  }
  if (header.kind != kEnd || content_.size() != sizeof raw_ || load<std::uint64_t>(content_.data()) != raw_ ||
      offset_ != size_)
    throw damaged("it is no end of the stream");
  content_.clear();
  ended_ = true;
}

bool StreamReader::at_end() {
  while (!ended_ && used_ == content_.size()) fill();
  return ended_;
}

void StreamReader::read(std::span<std::byte> into) {
  while (!into.empty()) {
    if (at_end()) throw damaged("the stream ends too early");
    const std::size_t now = std::min(into.size(), content_.size() - used_);
    std::memcpy(into.data(), content_.data() + used_, now);
    used_ += now;
    into = into.subspan(now);
  }
}

void StreamReader::verify(const BackupFile& expected) const {
  if (offset_ != expected.bytes || digest_ != expected.digest)
    throw error(sqlstate::kDataCorrupted, "the backup is damaged: \"{}\" is not the file of the manifest",
                path_);
}

}  // namespace rustbd::txn
