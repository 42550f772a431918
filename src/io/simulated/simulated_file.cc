#include <cmath>

#include "rustbd/base/assert.h"
#include "rustbd/io/simulated/disk_state.h"

namespace rustbd::io {

SimulatedFile::SimulatedFile(SimulatedDisk::State& state, InodeRef inode, std::string path,
                             OpenOptions options)
    : state_(state),
      inode_(std::move(inode)),
      path_(std::move(path)),
      options_(options),
      generation_(state.generation) {}

void SimulatedFile::read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) {
  finish(request, do_read(offset, into));
}
void SimulatedFile::write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) {
  finish(request, do_write(offset, from));
}
void SimulatedFile::datasync_async(IoRequest* request) { finish(request, do_datasync()); }
IoResult<> SimulatedFile::read(std::uint64_t offset, std::span<std::byte> into) {
  return pause(do_read(offset, into));
}
IoResult<> SimulatedFile::write(std::uint64_t offset, std::span<const std::byte> from) {
  return pause(do_write(offset, from));
}
IoResult<> SimulatedFile::datasync() { return pause(do_datasync()); }
IoResult<> SimulatedFile::write_durable(std::uint64_t offset, std::span<const std::byte> from) {
  return pause(do_write_durable(offset, from));
}

IoResult<> SimulatedFile::allocate(std::uint64_t offset, std::uint64_t bytes) {
  std::lock_guard lock{state_.mutex};
  if (dead()) return failed(IoFailure::kDevice);
  const bool dies = state_.count();
  if (const IoResult<> grown = state_.grow(*inode_, offset + bytes, path_); !grown) return grown;
  inode_->pending.push_back({offset + bytes, {}, false});
  if (dies) return failed(IoFailure::kDevice);
  return {};
}

IoResult<> SimulatedFile::truncate(std::uint64_t bytes) {
  std::lock_guard lock{state_.mutex};
  if (dead()) return failed(IoFailure::kDevice);
  const bool dies = state_.count();
  if (bytes > inode_->current_bytes) {
    if (const IoResult<> grown = state_.grow(*inode_, bytes, path_); !grown) return grown;
  } else {
    state_.used -= inode_->current_bytes - bytes;
    inode_->current_bytes = bytes;
    inode_->current.cut(bytes);
    state_.heal(*inode_, bytes, ~std::uint64_t{0} - bytes);
  }
  inode_->pending.push_back({bytes, {}, true});
  if (dies) return failed(IoFailure::kDevice);
  return {};
}

IoResult<std::uint64_t> SimulatedFile::size() {
  std::lock_guard lock{state_.mutex};
  if (dead()) return failed(IoFailure::kDevice);
  return inode_->current_bytes;
}

void SimulatedFile::check_alignment(std::uint64_t offset, std::span<const std::byte> bytes) const {
  if (!options_.direct) return;
  RUSTBD_ASSERT(offset % 4096 == 0 && bytes.size() % 4096 == 0, "direct I/O in whole blocks");
  RUSTBD_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096 == 0,
                "direct I/O from aligned buffers");
}

IoResult<> SimulatedFile::do_read(std::uint64_t offset, std::span<std::byte> into) {
  check_alignment(offset, into);
  std::lock_guard lock{state_.mutex};
  if (dead()) return failed(IoFailure::kDevice);
  if (take(state_.refused_reads, path_)) return failed(IoFailure::kNoResources);
  if (take(state_.failing_reads, path_) || fails(offset, into.size())) return failed(IoFailure::kDevice);
  if (offset + into.size() > inode_->current_bytes) return failed(IoFailure::kShort);
  if (state_.is_lost(*inode_, offset, into.size())) {
    state_.note_read(*inode_, offset, into.size());
    return failed(IoFailure::kDevice);
  }
  if (state_.rolls_damage(state_.faults.misdirected_read, path_, offset, into.size())) {
    inode_->current.read(some_block(into.size()), into);
    state_.damages.push_back({DamageKind::kMisdirectedRead, true});
    return {};
  }
  inode_->current.read(offset, into);
  state_.note_read(*inode_, offset, into.size());
  return {};
}

// An error of the disk, a new one or one that lasts.
bool SimulatedFile::fails(std::uint64_t offset, std::uint64_t bytes) {
  const SimulatedFaults& faults = state_.faults;
  if (faults.read_error == 0) return false;
  const auto bad = [&](const BadPlace& place) { return place.overlaps(path_, offset, bytes); };
  if (std::ranges::any_of(state_.bad_places, bad)) return true;
  if (!state_.rolls_for(faults.read_error, path_)) return false;
  if (faults.lasting_per_mille != 0 && state_.random.below(1000) < faults.lasting_per_mille) {
    state_.bad_places.push_back({path_, offset, offset + bytes});
    ++state_.lasting_read_errors;
  }
  return true;
}

std::uint64_t SimulatedFile::some_block(std::uint64_t bytes) {
  const std::uint64_t places = (inode_->current_bytes - bytes) / SparseImage::kChunkBytes + 1;
  return state_.random.below(places) * SparseImage::kChunkBytes;
}

// True: the write is acknowledged and never happens.
bool SimulatedFile::lose(std::uint64_t offset, std::span<const std::byte> from) {
  if (!state_.rolls_damage(state_.faults.lost_write, path_, offset, from.size())) return false;
  state_.damages.push_back({DamageKind::kLostWrite});
  state_.wound(*inode_, offset, from.size(), state_.damages.size() - 1);
  return true;
}

// Where the write goes.
std::uint64_t SimulatedFile::misdirect(std::uint64_t offset, std::span<const std::byte> from) {
  if (!state_.rolls_damage(state_.faults.misdirected_write, path_, offset, from.size())) return offset;
  const std::uint64_t place = some_block(from.size());
  const auto& allowed = state_.faults.may_damage;
  if (place == offset || (allowed && !allowed(path_, place, from.size()))) return offset;
  state_.damages.push_back({DamageKind::kMisdirectedWrite});
  state_.wound(*inode_, offset, from.size(), state_.damages.size() - 1);
  state_.wound(*inode_, place, from.size(), state_.damages.size() - 1);
  return place;
}

IoResult<> SimulatedFile::do_write(std::uint64_t offset, std::span<const std::byte> from) {
  check_alignment(offset, from);
  RUSTBD_ASSERT(!options_.read_only, "write to a file opened read-only");
  std::lock_guard lock{state_.mutex};
  return write_locked(offset, from);
}

// With the state's mutex held.
IoResult<> SimulatedFile::write_locked(std::uint64_t offset, std::span<const std::byte> from) {
  if (dead()) return failed(IoFailure::kDevice);
  if (from.empty()) return {};
  const bool dies = state_.count();
  if (const IoResult<> grown = state_.grow(*inode_, offset + from.size(), path_); !grown) return grown;
  if (!dies && lose(offset, from)) return {};
  const std::uint64_t place = dies ? offset : misdirect(offset, from);
  const bool broken =
      take(state_.failing_writes, path_) || state_.rolls_for(state_.faults.write_error, path_);
  if (broken) from = from.first(state_.random.below(from.size() + 1));
  if (!from.empty()) {
    inode_->current.write(place, from);
    inode_->pending.push_back({place, {from.begin(), from.end()}, false});
    if (place == offset) state_.heal(*inode_, offset, from.size());
    std::erase_if(state_.bad_places,
                  [&](const BadPlace& bad) { return bad.overlaps(path_, place, from.size()); });
  }
  if (dies || broken) return failed(IoFailure::kDevice);
  return {};
}

// Two operations, so that a crash can come between: then the write is as un-synced as any. Only its own bytes
// become durable.
IoResult<> SimulatedFile::do_write_durable(std::uint64_t offset, std::span<const std::byte> from) {
  check_alignment(offset, from);
  RUSTBD_ASSERT(!options_.read_only, "write to a file opened read-only");
  std::lock_guard lock{state_.mutex};
  const std::size_t before = inode_->pending.size();
  if (auto written = write_locked(offset, from); !written) return written;
  if (state_.count()) return failed(IoFailure::kDevice);
  if (take(state_.failing_syncs, path_) || state_.rolls_for(state_.faults.sync_error, path_)) {
    state_.settle_by_chance(*inode_);
    return failed(IoFailure::kDevice);
  }
  if (inode_->pending.size() > before) state_.settle_one(*inode_, before);  // else: a write that gets lost
  return {};
}

IoResult<> SimulatedFile::do_datasync() {
  std::lock_guard lock{state_.mutex};
  if (dead()) return failed(IoFailure::kDevice);
  if (state_.count()) return failed(IoFailure::kDevice);
  if (take(state_.failing_syncs, path_) || state_.rolls_for(state_.faults.sync_error, path_)) {
    // As Linux does: the pages count as clean from now on, so a second sync would succeed without writing
    // them.
    state_.settle_by_chance(*inode_);
    return failed(IoFailure::kDevice);
  }
  state_.settle_all(*inode_);
  return {};
}

std::chrono::microseconds SimulatedFile::latency() {
  std::lock_guard lock{state_.mutex};
  const SimulatedFaults& faults = state_.faults;
  if (state_.rolls(faults.stall)) return std::chrono::microseconds{faults.stall_us};
  if (faults.latency_us_median != 0) {
    double normal = -6;  // the sum of twelve uniform numbers: mean 6, variance 1
    for (int i = 0; i < 12; ++i) normal += static_cast<double>(state_.random.below(1 << 20)) / (1 << 20);
    return std::chrono::microseconds{static_cast<std::int64_t>(faults.latency_us_median * std::exp(normal))};
  }
  const std::uint32_t max = faults.latency_us_max;
  return std::chrono::microseconds{max == 0 ? 0 : state_.random.below(max + 1)};
}

void SimulatedFile::finish(IoRequest* request, IoResult<> status) {
  request->status = status;
  const WaitToken done = request->done;
  if (state_.executor == nullptr) {
    done.fire();
    return;
  }
  Lane& lane = state_.executor->workers();
  if (const auto delay = latency(); delay.count() > 0) {
    state_.executor->after(delay).then(lane, [done] { done.fire(); });
  } else {
    lane.post([done] { done.fire(); });
  }
}

IoResult<> SimulatedFile::pause(IoResult<> status) {
  if (state_.executor != nullptr && state_.executor->on_background_thread())
    state_.executor->block_on(state_.executor->after(latency()));
  return status;
}

}  // namespace rustbd::io
