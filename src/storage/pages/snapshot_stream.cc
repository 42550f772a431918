#include "rustbd/storage/pages/snapshot_stream.h"

#include <algorithm>
#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/base/crc32c.h"
#include "rustbd/base/hash.h"

namespace rustbd::storage {
namespace {

constexpr std::uint8_t kEndRecord = 255;
struct RecordHeader {
  std::uint8_t kind;
  std::uint8_t zero[3];
  std::uint32_t length;
};
static_assert(sizeof(RecordHeader) == 8);

std::size_t header_bytes(bool sealed) { return kSnapshotHeaderBytes + (sealed ? kSnapshotSealBytes : 0); }

/// Decrypts the content of an extent that has been read.
bool unseal(const ExtentPointer& pointer, const security::KeyRing* keys, AlignedBuffer& buffer) {
  if (pointer.encryption == 0) return true;
  const std::size_t header = header_bytes(true);
  const security::DataKey* key = keys != nullptr ? keys->find(pointer.key_id) : nullptr;
  security::Seal seal;
  seal.counter = load<std::uint64_t>(buffer.data() + kSnapshotHeaderBytes);
  seal.tag = load<security::Tag>(buffer.data() + kSnapshotHeaderBytes + sizeof seal.counter);
  return key != nullptr && pointer.raw_len >= header &&
         static_cast<std::uint8_t>(key->cipher()) == pointer.encryption &&
         key->open(security::Purpose::kSnapshot, seal, buffer.first(kSnapshotHeaderBytes),
                   buffer.span().subspan(header, pointer.raw_len - header));
}

}  // namespace

SnapshotWriter::SnapshotWriter(DataFile& file, Space& space, const security::KeyRing* keys)
    : file_(file),
      space_(space),
      key_(keys != nullptr ? keys->current() : security::KeyUse{}),
      buffer_(kSnapshotExtentBlocks * 4096),
      header_bytes_(header_bytes(static_cast<bool>(key_))),
      used_(header_bytes_) {}

void SnapshotWriter::append(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0 && status_) {
    const std::size_t now = std::min(bytes, buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, from, now);
    used_ += now;
    from += now;
    bytes -= now;
    if (used_ == buffer_.size()) status_ = flush();
  }
}

io::IoResult<> SnapshotWriter::flush() {
  const auto blocks = static_cast<std::uint32_t>((used_ + 4095) / 4096);
  std::memset(buffer_.data() + used_, 0, std::size_t{blocks} * 4096 - used_);
  store(buffer_.data(), kSnapshotMagic);
  store(buffer_.data() + 4, static_cast<std::uint32_t>(used_ - header_bytes_));
  store(buffer_.data() + 8, previous_);
  seal();
  const auto extent = space_.allocate(blocks);
  if (!extent) return std::unexpected(io::IoFailure::kNoSpace);
  extents_.push_back(*extent);
  if (auto done = file_.write(extent->offset(), buffer_.first(extent->bytes())); !done) return done;
  previous_ = ExtentPointer{extent->first_block, blocks, static_cast<std::uint32_t>(used_),
                            xxh3_64(buffer_.data(), extent->bytes())};
  if (key_) {
    previous_.key_id = key_->id();
    previous_.encryption = static_cast<std::uint8_t>(key_->cipher());
  }
  used_ = header_bytes_;
  return {};
}

void SnapshotWriter::seal() {
  if (!key_) return;
  const auto sealed = key_->seal(security::Purpose::kSnapshot, buffer_.first(kSnapshotHeaderBytes),
                                 buffer_.span().subspan(header_bytes_, used_ - header_bytes_));
  store(buffer_.data() + kSnapshotHeaderBytes, sealed.counter);
  store(buffer_.data() + kSnapshotHeaderBytes + sizeof sealed.counter, sealed.tag);
}

io::IoResult<> SnapshotWriter::add(SnapshotRecord kind, ByteSpan body) {
  RUSTBD_ASSERT(body.size() <= kSnapshotRecordBytesMax);
  const RecordHeader header{static_cast<std::uint8_t>(kind), {}, static_cast<std::uint32_t>(body.size())};
  any_ = true;
  crc_ = crc32c(crc_, &header, sizeof header);
  crc_ = crc32c(crc_, body.data(), body.size());
  append(&header, sizeof header);
  append(body.data(), body.size());
  return status_;
}

io::IoResult<ExtentPointer> SnapshotWriter::finish() {
  if (any_) {
    const RecordHeader header{kEndRecord, {}, 4};
    append(&header, sizeof header);
    append(&crc_, 4);
    if (status_ && used_ > header_bytes_) status_ = flush();
  }
  if (!status_) return std::unexpected(status_.error());
  return previous_;
}

bool read_checked(DataFile& file, const ExtentPointer& pointer, AlignedBuffer& into) {
  const Extent extent = pointer.extent();
  return extent.bytes() <= into.size() && pointer.raw_len <= extent.bytes() &&
         file.read(extent.offset(), into.first(extent.bytes())).has_value() &&
         xxh3_64(into.data(), extent.bytes()) == pointer.checksum;
}

bool snapshot_extents(DataFile& file, const ExtentPointer& last, std::vector<ExtentPointer>& out) {
  AlignedBuffer buffer(kSnapshotExtentBlocks * 4096);
  for (ExtentPointer pointer = last; pointer.blocks != 0; pointer = load<ExtentPointer>(buffer.data() + 8)) {
    if (!read_checked(file, pointer, buffer) || load<std::uint32_t>(buffer.data()) != kSnapshotMagic)
      return false;
    out.push_back(pointer);
  }
  std::ranges::reverse(out);
  return true;
}

bool read_snapshot(DataFile& file, const std::vector<ExtentPointer>& extents, const security::KeyRing* keys,
                   const std::function<void(SnapshotRecord, ByteSpan)>& take) {
  if (extents.empty()) return true;
  AlignedBuffer buffer(kSnapshotExtentBlocks * 4096);
  Bytes pending;  // the record that is not complete yet
  std::uint32_t crc = 0;
  bool ended = false;
  for (const ExtentPointer& pointer : extents) {
    if (ended || !read_checked(file, pointer, buffer)) return false;
    const auto bytes = load<std::uint32_t>(buffer.data() + 4);
    const std::size_t header = header_bytes(pointer.encryption != 0);
    if (header + bytes != pointer.raw_len || !unseal(pointer, keys, buffer)) return false;
    pending.insert(pending.end(), buffer.data() + header, buffer.data() + pointer.raw_len);
    std::size_t at = 0;
    while (pending.size() - at >= sizeof(RecordHeader)) {
      const auto header = load<RecordHeader>(pending.data() + at);
      if (header.length > kSnapshotRecordBytesMax || ended) return false;
      if (pending.size() - at - sizeof header < header.length) break;
      const ByteSpan body{pending.data() + at + sizeof header, header.length};
      if (header.kind == kEndRecord) {
        if (body.size() != 4 || load<std::uint32_t>(body.data()) != crc) return false;
        ended = true;
      } else {
        crc = crc32c(crc, pending.data() + at, sizeof header + header.length);
        take(static_cast<SnapshotRecord>(header.kind), body);
      }
      at += sizeof header + header.length;
    }
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return ended && pending.empty();
}

}  // namespace rustbd::storage
