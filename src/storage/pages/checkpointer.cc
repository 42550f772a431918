#include "rustbd/storage/pages/checkpointer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/hash.h"
#include "rustbd/storage/pages/snapshot_stream.h"

namespace rustbd::storage {
namespace {

constexpr std::size_t kChunksPerWrite = 64;  // 768 KiB
constexpr std::uint32_t kChunkBlocks = kChunkBytes / kBlockBytes;
constexpr std::uint32_t kRootEntryBytes = 16;  // extent, XXH3-64 of a chunk

std::string text_of(std::string_view what, io::IoFailure failure) {
  return fmt::format("{}: {}", what, io::to_text(failure));
}

}  // namespace

Checkpointer::Checkpointer(Parts parts, Superblock current, std::vector<Extent> snapshot)
    : parts_(std::move(parts)), superblock_(std::move(current)), snapshot_(std::move(snapshot)) {}

Superblock Checkpointer::superblock() const {
  const std::lock_guard lock(mutex_);
  return superblock_;
}

void Checkpointer::set_superblock(const Superblock& superblock) {
  const std::lock_guard lock(mutex_);
  superblock_ = superblock;
}

void Checkpointer::set_wal_uuid(std::uint64_t wal_uuid) {
  const std::lock_guard lock(mutex_);
  wal_uuid_ = wal_uuid;
}

// Step 1.
Checkpointer::Capture Checkpointer::capture(CheckpointResult& result) {
  Capture out;
  const std::int64_t closed_at = parts_.environment.clock->monotonic_us();  // from here on writers wait
  parts_.gate->close();
  out.epoch = parts_.gate->epoch();
  if (parts_.source != nullptr) {
    out.positions = parts_.source->capture(out.epoch);
  } else {
    out.positions = superblock_.state.positions;
  }
  out.next_page_id = parts_.buffer->next_page_id();
  out.pending = parts_.pending->list();
  parts_.ledger->begin(out.epoch);
  out.dirty = parts_.buffer->begin_checkpoint();
  parts_.gate->set_epoch(out.epoch + 1);
  parts_.gate->open();
  result.gate_closed_us = parts_.environment.clock->monotonic_us() - closed_at;
  return out;
}

CheckpointResult Checkpointer::run() {
  CheckpointResult result;
  if (failed_for_good_) {
    result.why = "a sync of the data file has failed before";
    return result;
  }
  const std::int64_t began = parts_.environment.clock->monotonic_us();
  parts_.buffer->reclaim_freed(~std::size_t{0});
  const std::uint64_t written_before = parts_.buffer->statistics().page_writes;
  Capture captured = capture(result);
  new_extents_.clear();
  new_snapshot_.clear();
  Superblock next = superblock();
  Lsn keep;
  result.why = write(captured, next, keep);
  result.durable = result.why.empty();
  release_old(result.durable, next);
  parts_.ledger->end();
  parts_.allocator->end_checkpoint(result.durable);
  parts_.buffer->end_checkpoint(result.durable);
  if (parts_.source != nullptr) parts_.source->finished(result.durable, keep, result.why);
  result.pages = parts_.buffer->statistics().page_writes - written_before;
  result.duration_us = parts_.environment.clock->monotonic_us() - began;
  return result;
}

// Root and undo snapshot of the one that is replaced, or of the one that failed: its superblock may have
// reached the disk in part, so they stay until the next checkpoint is durable.
void Checkpointer::release_old(bool durable, const Superblock& next) {
  if (!durable) {
    for (const Extent extent : new_extents_) parts_.allocator->defer(extent, false);
    return;
  }
  const Superblock old = superblock();
  parts_.allocator->defer(old.directory_root.extent(), true);
  for (const Extent extent : snapshot_) parts_.allocator->defer(extent, true);
  snapshot_ = std::move(new_snapshot_);
  const std::lock_guard lock(mutex_);
  superblock_ = next;
}

std::string Checkpointer::write(Capture& captured, Superblock& next, Lsn& keep) {
  if (auto done = parts_.buffer->write_checkpoint_pages(std::move(captured.dirty)); !done) {
    return text_of("could not write a page", done.error());
  }
  if (std::string why = write_snapshot(captured, next.undo_snapshot); !why.empty()) return why;
  if (std::string why = write_directory(captured, next.directory_root); !why.empty()) return why;
  if (std::string why = sync("the data file"); !why.empty()) return why;
  if (parts_.source != nullptr && !parts_.source->wait_durable(captured.positions.lsn)) {
    return "the log could not be made durable";
  }
  keep = parts_.source != nullptr ? parts_.source->log_keep_lsn() : captured.positions.lsn;
  DatabaseState& state = next.state;
  ++state.generation;
  state.epoch = captured.epoch;
  state.positions = captured.positions;
  state.next_page_id = captured.next_page_id;
  state.log_keep_lsn = keep;
  if (parts_.keys != nullptr) state.next_key_id = parts_.keys->next_id();
  {
    const std::lock_guard lock(mutex_);
    if (wal_uuid_ != 0) state.wal_uuid = wal_uuid_;
  }
  next.file_blocks = parts_.allocator->file_blocks();
  return publish(next);
}

// Step 8.
std::string Checkpointer::publish(const Superblock& next) {
  if (auto done = write_superblock(*parts_.file, next); !done) {
    return text_of("could not write the superblock", done.error());
  }
  return sync("the superblock");
}

std::string Checkpointer::sync(std::string_view what) {
  const auto done = parts_.file->datasync();
  if (done) return {};
  failed_for_good_ = true;
  std::string why = fmt::format("could not sync {}: {}", what, io::to_text(done.error()));
  parts_.fatal(why);
  return why;
}

// Step 4. The page layer's own records come first: u64 page, u8 kind.
std::string Checkpointer::write_snapshot(const Capture& captured, ExtentPointer& into) {
  SnapshotWriter writer(*parts_.file, *parts_.space, parts_.keys);
  io::IoResult<> status;
  for (const PendingEntry& entry : captured.pending) {
    Bytes body;
    ByteWriter bytes(body);
    bytes.fixed(entry.first_page.raw());
    bytes.fixed(static_cast<std::uint8_t>(entry.kind));
    status = writer.add(SnapshotRecord::kFree, body);
  }
  std::string why;
  if (parts_.source != nullptr) why = parts_.source->write_snapshot(captured.epoch, writer);
  const auto last = writer.finish();
  new_snapshot_ = writer.extents();
  new_extents_.insert(new_extents_.end(), new_snapshot_.begin(), new_snapshot_.end());
  if (!why.empty()) return why;
  if (!last) return text_of("could not write the undo snapshot", last.error());
  into = *last;
  return {};
}

// Step 5: the chunks that changed, then the root, which names all of them.
std::string Checkpointer::write_directory(const Capture& captured, ExtentPointer& into) {
  const std::uint64_t chunks = (captured.next_page_id + kChunkEntries - 1) / kChunkEntries;
  const std::size_t at_once = std::min<std::size_t>(chunks, kChunksPerWrite);
  AlignedBuffer staging(at_once * kChunkBytes);
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = 0; number < chunks; ++number) {
    const auto image = staging.span().subspan(numbers.size() * kChunkBytes, kChunkBytes);
    switch (parts_.ledger->encode_chunk(number, image)) {
      case EntryLedger::ChunkState::kUnchanged: break;
      case EntryLedger::ChunkState::kAllFree: parts_.ledger->set_chunk_extent(number, {}, 0); break;
      case EntryLedger::ChunkState::kEncoded: numbers.push_back(number); break;
    }
    if (numbers.size() == at_once || (number + 1 == chunks && !numbers.empty())) {
      if (std::string why = flush_chunks(numbers, staging.span()); !why.empty()) return why;
    }
  }
  AlignedBuffer root(std::max<std::size_t>(1, chunks) * kRootEntryBytes);
  for (std::uint64_t number = 0; number < chunks; ++number) {
    DirectoryChunk& chunk = parts_.directory->chunk(number);
    const std::lock_guard lock(chunk.mutex);
    store(root.data() + number * kRootEntryBytes, chunk.extent.packed());
    store(root.data() + number * kRootEntryBytes + 8, chunk.checksum);
  }
  const auto blocks = static_cast<std::uint32_t>(root.size() / kBlockBytes);
  const auto extent = parts_.space->allocate(blocks);
  if (!extent) return text_of("could not write the page directory", io::IoFailure::kNoSpace);
  new_extents_.push_back(*extent);
  if (auto done = parts_.file->write(extent->offset(), root.span()); !done) {
    return text_of("could not write the page directory", done.error());
  }
  into = ExtentPointer{extent->first_block, blocks, static_cast<std::uint32_t>(chunks * kRootEntryBytes),
                       xxh3_64(root.data(), root.size())};
  return {};
}

std::string Checkpointer::flush_chunks(std::vector<std::uint64_t>& numbers,
                                       std::span<const std::byte> images) {
  std::string why;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto image = images.subspan(i * kChunkBytes, kChunkBytes);
    const auto extent = why.empty() ? parts_.space->allocate(kChunkBlocks) : std::nullopt;
    if (why.empty() && !extent) why = text_of("could not write the page directory", io::IoFailure::kNoSpace);
    if (extent) {
      if (auto done = parts_.file->write(extent->offset(), image); done) {
        parts_.ledger->set_chunk_extent(numbers[i], *extent, xxh3_64(image.data(), image.size()));
        continue;
      } else {
        parts_.allocator->quarantine(*extent);
        why = text_of("could not write the page directory", done.error());
      }
    }
    parts_.ledger->chunk_failed(numbers[i]);
  }
  numbers.clear();
  return why;
}

}  // namespace rustbd::storage
