#include "rustbd/txn/backup/reader.h"

#include <algorithm>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/log/format.h"

namespace rustbd::txn {
namespace {

constexpr std::uint64_t kExtentBytesMax = std::uint64_t{64} << 20;  // they never cross a region of the file
constexpr std::uint32_t kPieceBytesMax = 1 << 20;

}  // namespace

BackupReader::BackupReader(io::Disk& disk, std::string directory)
    : disk_(disk), directory_(std::move(directory)), manifest_(read_manifest(disk, directory_)) {}

const BackupFile& BackupReader::expected(const char* name) const {
  const BackupFile* file = manifest_.file(name);
  if (file == nullptr)
    throw error(sqlstate::kDataCorrupted, "the backup is damaged: its manifest does not name \"{}\"", name);
  return *file;
}

BackupReader::Contents BackupReader::contents() const {
  StreamReader in(disk_, path(kExtentsName));
  Contents out;
  storage::SuperblockImage image;
  in.read(image);
  const auto superblock = storage::decode_superblock(image);
  if (!superblock) throw in.damaged("it does not begin with a superblock");
  out.superblock = *superblock;
  while (!in.at_end()) {
    const auto stored = in.number<storage::StoredExtent>();
    const storage::Extent extent = stored.extent();
    if (extent.none() || extent.bytes() > kExtentBytesMax ||
        (!out.extents.empty() && out.extents.back() >= stored))
      throw in.damaged("impossible extents");
    out.extents.push_back(stored);
  }
  in.verify(expected(kExtentsName));
  if (out.extents.size() != manifest_.extents) throw in.damaged("not as many extents as the manifest says");
  return out;
}

void BackupReader::each_page(const std::function<void(const storage::StoredExtent&, ByteSpan)>& visit) const {
  StreamReader in(disk_, path(kPagesName));
  Bytes image;
  std::uint64_t count = 0;
  for (; !in.at_end(); ++count) {
    const auto stored = in.number<storage::StoredExtent>();
    if (stored.extent().none() || stored.extent().bytes() > kExtentBytesMax)
      throw in.damaged("an impossible extent");
    image.resize(stored.extent().bytes());
    in.read(image);
    if (xxh3_64(image.data(), image.size()) != stored.checksum)
      throw in.damaged(
          fmt::format("the extent at block {} has another checksum", stored.extent().first_block));
    visit(stored, image);
  }
  in.verify(expected(kPagesName));
  if (count != manifest_.extents_stored) throw in.damaged("not as many extents as the manifest says");
}

void BackupReader::each_log_piece(
    const std::function<void(std::uint64_t, std::uint32_t, ByteSpan)>& visit) const {
  StreamReader in(disk_, path(kBackupLogName));
  const log::Geometry geometry(manifest_.segment_bytes);
  Bytes piece;
  while (!in.at_end()) {
    const auto segment = in.number<std::uint64_t>();
    const auto offset = in.number<std::uint32_t>();
    const auto bytes = in.number<std::uint32_t>();
    if (bytes > kPieceBytesMax || offset + std::uint64_t{bytes} > geometry.segment_bytes() ||
        segment < geometry.segment_of(manifest_.log_from) || segment > geometry.segment_of(manifest_.end))
      throw in.damaged("an impossible piece of the log");
    piece.resize(bytes);
    in.read(piece);
    visit(segment, offset, piece);
  }
  in.verify(expected(kBackupLogName));
}

Bytes BackupReader::keys() const {
  if (!manifest_.encrypted) return {};
  const BackupFile& known = expected(kBackupKeysName);
  Bytes content = read_small_file(disk_, path(kBackupKeysName));
  if (content.size() != known.bytes || xxh3_64(content.data(), content.size()) != known.digest)
    throw error(sqlstate::kDataCorrupted, "the backup is damaged: \"{}\" is not the file of the manifest",
                path(kBackupKeysName));
  return content;
}

void BackupReader::verify() const {
  (void)contents();
  each_page([](const storage::StoredExtent&, ByteSpan) {});
  each_log_piece([](std::uint64_t, std::uint32_t, ByteSpan) {});
  (void)keys();
}

}  // namespace rustbd::txn
