#include "rustbd/io/simulated/simulated_disk.h"

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/io/simulated/sparse_image.h"

namespace rustbd::io {

namespace {

// A change since the last sync, in order. Empty data: the file's size becomes `offset` (allocate, truncate).
struct PendingChange {
  std::uint64_t offset = 0;
  std::vector<std::byte> data;
  bool cuts = false;  // truncate: may make it shorter
};

struct Inode {
  SparseImage current, durable;
  std::uint64_t current_bytes = 0, durable_bytes = 0;
  std::vector<PendingChange> pending;
};
using InodeRef = std::shared_ptr<Inode>;

struct NameChange {
  enum class Kind : std::uint8_t { kCreate, kRemove, kRename, kDirectory, kRemoveDirectory } kind;
  std::string name, to;
  InodeRef inode;
};

struct Names {
  std::map<std::string, InodeRef> files;
  std::set<std::string> directories;

  void apply(const NameChange& change) {
    switch (change.kind) {
      case NameChange::Kind::kCreate: files[change.name] = change.inode; break;
      case NameChange::Kind::kRemove: files.erase(change.name); break;
      case NameChange::Kind::kDirectory: directories.insert(change.name); break;
      case NameChange::Kind::kRemoveDirectory: directories.erase(change.name); break;
      case NameChange::Kind::kRename:
        if (const auto it = files.find(change.name); it != files.end() && it->second == change.inode)
          files.erase(it);
        files[change.to] = change.inode;
        break;
    }
  }
};

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}
std::string normal(const std::string& path) { return path == "." ? std::string{} : path; }

std::unexpected<IoFailure> failed(IoFailure why) { return std::unexpected{why}; }

struct Planned {
  std::string part;
  std::uint32_t count;
};

bool take(std::vector<Planned>& planned, const std::string& path) {
  for (Planned& p : planned) {
    if (p.count > 0 && path.find(p.part) != std::string::npos) {
      --p.count;
      return true;
    }
  }
  return false;
}

}  // namespace

struct SimulatedDisk::State {
  State(std::uint64_t seed, SimulatedFaults f, SimulatedExecutor* e)
      : random(seed), faults(std::move(f)), executor(e) {}

  mutable std::mutex mutex;  // protects everything below
  SeededRandom random;
  SimulatedFaults faults;
  SimulatedExecutor* const executor;
  Names current, durable;
  std::map<std::string, std::vector<NameChange>> pending_names;  // by directory
  std::set<std::string> locks;
  std::uint64_t operations = 0, crash_at = 0, generation = 1;
  bool crashed = false;
  std::uint64_t used = 0;
  std::vector<Planned> failing_syncs, failing_writes, failing_reads;

  bool rolls(std::uint32_t per_million) { return per_million != 0 && random.below(1'000'000) < per_million; }
  bool rolls_for(std::uint32_t per_million, const std::string& path) {
    return per_million != 0 && (!faults.applies_to || faults.applies_to(path)) && rolls(per_million);
  }
  // Counts a changing operation; true if the power fails in it.
  bool count() {
    ++operations;
    if (crash_at == 0 || operations < crash_at) return false;
    crashed = true;
    return true;
  }
  IoResult<> change_name(const std::string& directory, NameChange change) {
    const bool dies = count();
    current.apply(change);
    pending_names[directory].push_back(std::move(change));
    if (dies) return failed(IoFailure::kDevice);
    return {};
  }
  bool has_directory(const std::string& path) const {
    return path.empty() || current.directories.contains(path);
  }

  // --- one file ---
  IoResult<> grow(Inode& inode, std::uint64_t to, const std::string& path) {
    if (to > inode.current_bytes) {
      const std::uint64_t more = to - inode.current_bytes;
      if (faults.capacity_bytes != 0 && used + more > faults.capacity_bytes)
        return failed(IoFailure::kNoSpace);
      if (rolls_for(faults.no_space, path)) return failed(IoFailure::kNoSpace);
      used += more;
      inode.current_bytes = to;
    }
    return {};
  }
  void settle(Inode& inode, const PendingChange& change) {
    if (change.data.empty()) {
      if (change.cuts) inode.durable.cut(change.offset);
      inode.durable_bytes = change.cuts ? change.offset : std::max(inode.durable_bytes, change.offset);
    } else {
      inode.durable.write(change.offset, change.data);
      inode.durable_bytes = std::max(inode.durable_bytes, change.offset + change.data.size());
    }
  }
  void settle_all(Inode& inode) {
    for (const PendingChange& change : inode.pending) settle(inode, change);
    inode.pending.clear();
  }
  // What a crash (or a failed sync) makes of the un-synced changes: each sector old, new or torn.
  void settle_by_chance(Inode& inode) {
    for (const PendingChange& change : inode.pending) {
      if (change.data.empty()) {
        if (random.chance(500)) settle(inode, change);
        continue;
      }
      std::uint64_t at = 0;
      while (at < change.data.size()) {
        const std::uint64_t position = change.offset + at;
        std::uint64_t n =
            std::min<std::uint64_t>(kSectorBytes - position % kSectorBytes, change.data.size() - at);
        const std::uint64_t next = at + n;
        const bool torn = faults.torn_sector_per_mille != 0 && random.chance(faults.torn_sector_per_mille);
        if (torn) n = random.below(n);
        if ((torn || random.chance(500)) && n > 0) {
          inode.durable.write(position, std::span{change.data}.subspan(at, n));
          inode.durable_bytes = std::max(inode.durable_bytes, position + n);
        }
        at = next;
      }
    }
    inode.pending.clear();
  }
  void rot(Inode& inode, const std::string& path) {
    if (faults.bit_rot == 0) return;
    std::vector<std::uint64_t> hit;
    inode.durable.for_each_chunk([&](std::uint64_t chunk) {
      if (rolls_for(faults.bit_rot, path)) hit.push_back(chunk);
    });
    for (const std::uint64_t chunk : hit) {
      inode.durable.flip(chunk * SparseImage::kChunkBytes + random.below(SparseImage::kChunkBytes),
                         static_cast<std::uint8_t>(1u << random.below(8)));
    }
  }
  void recount() {
    used = 0;
    for (const auto& [name, inode] : current.files) used += inode->current_bytes;
  }
};

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedDisk::State& state, InodeRef inode, std::string path, OpenOptions options)
      : state_(state),
        inode_(std::move(inode)),
        path_(std::move(path)),
        options_(options),
        generation_(state.generation) {}

  void read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) override {
    finish(request, do_read(offset, into));
  }
  void write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) override {
    finish(request, do_write(offset, from));
  }
  void datasync_async(IoRequest* request) override { finish(request, do_datasync()); }
  IoResult<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return pause(do_read(offset, into));
  }
  IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) override {
    return pause(do_write(offset, from));
  }
  IoResult<> datasync() override { return pause(do_datasync()); }

  IoResult<> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    std::lock_guard lock{state_.mutex};
    if (dead()) return failed(IoFailure::kDevice);
    const bool dies = state_.count();
    if (const IoResult<> grown = state_.grow(*inode_, offset + bytes, path_); !grown) return grown;
    inode_->pending.push_back({offset + bytes, {}, false});
    if (dies) return failed(IoFailure::kDevice);
    return {};
  }
  IoResult<> truncate(std::uint64_t bytes) override {
    std::lock_guard lock{state_.mutex};
    if (dead()) return failed(IoFailure::kDevice);
    const bool dies = state_.count();
    if (bytes > inode_->current_bytes) {
      if (const IoResult<> grown = state_.grow(*inode_, bytes, path_); !grown) return grown;
    } else {
      state_.used -= inode_->current_bytes - bytes;
      inode_->current_bytes = bytes;
      inode_->current.cut(bytes);
    }
    inode_->pending.push_back({bytes, {}, true});
    if (dies) return failed(IoFailure::kDevice);
    return {};
  }
  IoResult<std::uint64_t> size() override {
    std::lock_guard lock{state_.mutex};
    if (dead()) return failed(IoFailure::kDevice);
    return inode_->current_bytes;
  }

 private:
  [[nodiscard]] bool dead() const { return state_.crashed || generation_ != state_.generation; }

  void check_alignment(std::uint64_t offset, std::span<const std::byte> bytes) const {
    if (!options_.direct) return;
    RUSTBD_ASSERT(offset % 4096 == 0 && bytes.size() % 4096 == 0, "direct I/O in whole blocks");
    RUSTBD_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096 == 0,
                  "direct I/O from aligned buffers");
  }
  IoResult<> do_read(std::uint64_t offset, std::span<std::byte> into) {
    check_alignment(offset, into);
    std::lock_guard lock{state_.mutex};
    if (dead()) return failed(IoFailure::kDevice);
    if (take(state_.failing_reads, path_) || state_.rolls_for(state_.faults.read_error, path_))
      return failed(IoFailure::kDevice);
    if (offset + into.size() > inode_->current_bytes) return failed(IoFailure::kShort);
    inode_->current.read(offset, into);
    return {};
  }
  IoResult<> do_write(std::uint64_t offset, std::span<const std::byte> from) {
    check_alignment(offset, from);
    RUSTBD_ASSERT(!options_.read_only, "write to a file opened read-only");
    std::lock_guard lock{state_.mutex};
    if (dead()) return failed(IoFailure::kDevice);
    if (from.empty()) return {};
    const bool dies = state_.count();
    if (const IoResult<> grown = state_.grow(*inode_, offset + from.size(), path_); !grown) return grown;
    if (!dies && state_.rolls_for(state_.faults.lost_write, path_)) return {};
    if (!dies && state_.rolls_for(state_.faults.misdirected_write, path_)) {
      const std::uint64_t places = (inode_->current_bytes - from.size()) / SparseImage::kChunkBytes + 1;
      offset = state_.random.below(places) * SparseImage::kChunkBytes;
    }
    const bool broken =
        take(state_.failing_writes, path_) || state_.rolls_for(state_.faults.write_error, path_);
    if (broken) from = from.first(state_.random.below(from.size() + 1));
    if (!from.empty()) {
      inode_->current.write(offset, from);
      inode_->pending.push_back({offset, {from.begin(), from.end()}, false});
    }
    if (dies || broken) return failed(IoFailure::kDevice);
    return {};
  }
  IoResult<> do_datasync() {
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

  std::chrono::microseconds latency() {
    std::lock_guard lock{state_.mutex};
    const std::uint32_t max = state_.faults.latency_us_max;
    return std::chrono::microseconds{max == 0 ? 0 : state_.random.below(max + 1)};
  }
  void finish(IoRequest* request, IoResult<> status) {
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
  IoResult<> pause(IoResult<> status) {
    if (state_.executor != nullptr && state_.executor->on_background_thread())
      state_.executor->block_on(state_.executor->after(latency()));
    return status;
  }

  SimulatedDisk::State& state_;
  const InodeRef inode_;
  const std::string path_;
  const OpenOptions options_;
  const std::uint64_t generation_;
};

class SimulatedLock final : public FileLock {
 public:
  SimulatedLock(SimulatedDisk::State& state, std::string path)
      : state_(state), path_(std::move(path)), generation_(state.generation) {}
  ~SimulatedLock() override {
    std::lock_guard lock{state_.mutex};
    if (generation_ == state_.generation) state_.locks.erase(path_);
  }

 private:
  SimulatedDisk::State& state_;
  const std::string path_;
  const std::uint64_t generation_;
};

SimulatedDisk::SimulatedDisk(std::uint64_t seed, SimulatedFaults faults, SimulatedExecutor* executor)
    : state_(std::make_unique<State>(seed, std::move(faults), executor)) {}
SimulatedDisk::~SimulatedDisk() = default;

IoResult<std::unique_ptr<File>> SimulatedDisk::open(const std::string& path, OpenOptions options) {
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  auto it = state_->current.files.find(path);
  if (it == state_->current.files.end()) {
    if (!options.create || !state_->has_directory(parent_of(path))) return failed(IoFailure::kNotFound);
    if (state_->rolls_for(state_->faults.no_space, path)) return failed(IoFailure::kNoSpace);
    auto inode = std::make_shared<Inode>();
    const auto made = state_->change_name(parent_of(path), {NameChange::Kind::kCreate, path, {}, inode});
    if (!made) return failed(made.error());
    it = state_->current.files.find(path);
  }
  return std::make_unique<SimulatedFile>(*state_, it->second, path, options);
}

IoResult<> SimulatedDisk::remove(const std::string& path) {
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  if (state_->current.directories.contains(path)) {
    const auto inside = [&](const std::string& name) { return parent_of(name) == path; };
    for (const auto& [name, inode] : state_->current.files)
      if (inside(name)) return failed(IoFailure::kExists);
    if (std::any_of(state_->current.directories.begin(), state_->current.directories.end(), inside))
      return failed(IoFailure::kExists);
    return state_->change_name(parent_of(path), {NameChange::Kind::kRemoveDirectory, path, {}, {}});
  }
  const auto it = state_->current.files.find(path);
  if (it == state_->current.files.end()) return failed(IoFailure::kNotFound);
  const InodeRef inode = it->second;
  state_->used -= inode->current_bytes;
  return state_->change_name(parent_of(path), {NameChange::Kind::kRemove, path, {}, inode});
}

IoResult<> SimulatedDisk::rename(const std::string& from, const std::string& to) {
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  const auto it = state_->current.files.find(from);
  if (it == state_->current.files.end() || !state_->has_directory(parent_of(to)))
    return failed(IoFailure::kNotFound);
  if (from == to) return {};
  const InodeRef inode = it->second;
  if (const auto old = state_->current.files.find(to); old != state_->current.files.end())
    state_->used -= old->second->current_bytes;
  return state_->change_name(parent_of(to), {NameChange::Kind::kRename, from, to, inode});
}

IoResult<> SimulatedDisk::sync_directory(const std::string& raw_path) {
  const std::string path = normal(raw_path);
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  if (!state_->has_directory(path)) return failed(IoFailure::kNotFound);
  if (state_->count()) return failed(IoFailure::kDevice);
  for (const NameChange& change : state_->pending_names[path]) state_->durable.apply(change);
  state_->pending_names.erase(path);
  return {};
}

IoResult<> SimulatedDisk::make_directory(const std::string& path) {
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  if (path.empty() || state_->current.directories.contains(path) || state_->current.files.contains(path))
    return failed(IoFailure::kExists);
  if (!state_->has_directory(parent_of(path))) return failed(IoFailure::kNotFound);
  return state_->change_name(parent_of(path), {NameChange::Kind::kDirectory, path, {}, {}});
}

IoResult<std::vector<std::string>> SimulatedDisk::list(const std::string& raw_path) {
  const std::string path = normal(raw_path);
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  if (!state_->has_directory(path)) return failed(IoFailure::kNotFound);
  const std::size_t skip = path.empty() ? 0 : path.size() + 1;
  std::vector<std::string> names;
  for (const auto& [name, inode] : state_->current.files)
    if (parent_of(name) == path) names.push_back(name.substr(skip));
  for (const std::string& name : state_->current.directories)
    if (parent_of(name) == path) names.push_back(name.substr(skip));
  std::sort(names.begin(), names.end());
  return names;
}

bool SimulatedDisk::exists(const std::string& path) {
  std::lock_guard lock{state_->mutex};
  return !state_->crashed && (state_->has_directory(normal(path)) || state_->current.files.contains(path));
}

IoResult<std::unique_ptr<FileLock>> SimulatedDisk::lock(const std::string& path) {
  std::lock_guard lock{state_->mutex};
  if (state_->crashed) return failed(IoFailure::kDevice);
  if (!state_->has_directory(parent_of(path))) return failed(IoFailure::kNotFound);
  if (state_->locks.contains(path)) return failed(IoFailure::kBusy);
  if (!state_->current.files.contains(path)) {
    const NameChange create{NameChange::Kind::kCreate, path, {}, std::make_shared<Inode>()};
    if (const auto made = state_->change_name(parent_of(path), create); !made) return failed(made.error());
  }
  state_->locks.insert(path);
  return std::make_unique<SimulatedLock>(*state_, path);
}

std::uint64_t SimulatedDisk::operations() const {
  std::lock_guard lock{state_->mutex};
  return state_->operations;
}
void SimulatedDisk::crash_at(std::uint64_t nth) {
  std::lock_guard lock{state_->mutex};
  state_->crash_at = nth == 0 ? 0 : state_->operations + nth;
}
void SimulatedDisk::crash() {
  std::lock_guard lock{state_->mutex};
  state_->crashed = true;
}
bool SimulatedDisk::crashed() const {
  std::lock_guard lock{state_->mutex};
  return state_->crashed;
}

void SimulatedDisk::restart() {
  State& s = *state_;
  std::lock_guard lock{s.mutex};
  for (auto& [directory, changes] : s.pending_names) {
    const std::uint64_t kept = s.random.below(changes.size() + 1);
    for (std::uint64_t i = 0; i < kept; ++i) s.durable.apply(changes[i]);
  }
  s.pending_names.clear();
  // What lies in a directory that did not survive is gone with it.
  const auto orphan = [&](const std::string& name) {
    const std::string parent = parent_of(name);
    return !parent.empty() && !s.durable.directories.contains(parent);
  };
  for (bool again = true; again;) again = std::erase_if(s.durable.directories, orphan) > 0;
  std::erase_if(s.durable.files, [&](const auto& entry) { return orphan(entry.first); });
  for (auto& [name, inode] : s.durable.files) {
    s.settle_by_chance(*inode);
    s.rot(*inode, name);
    inode->current = inode->durable;
    inode->current_bytes = inode->durable_bytes;
  }
  s.current = s.durable;
  s.locks.clear();
  s.recount();
  ++s.generation;
  s.crashed = false;
  s.crash_at = 0;
}

void SimulatedDisk::set_faults(SimulatedFaults faults) {
  std::lock_guard lock{state_->mutex};
  state_->faults = std::move(faults);
}
void SimulatedDisk::fail_syncs(std::string part, std::uint32_t count) {
  std::lock_guard lock{state_->mutex};
  state_->failing_syncs.push_back({std::move(part), count});
}
void SimulatedDisk::fail_writes(std::string part, std::uint32_t count) {
  std::lock_guard lock{state_->mutex};
  state_->failing_writes.push_back({std::move(part), count});
}
void SimulatedDisk::fail_reads(std::string part, std::uint32_t count) {
  std::lock_guard lock{state_->mutex};
  state_->failing_reads.push_back({std::move(part), count});
}

void SimulatedDisk::corrupt(const std::string& path, std::uint64_t offset, std::uint8_t xor_mask) {
  std::lock_guard lock{state_->mutex};
  const auto it = state_->current.files.find(path);
  RUSTBD_ASSERT(it != state_->current.files.end(), "no such file to corrupt");
  state_->settle_all(*it->second);
  it->second->current.flip(offset, xor_mask);
  it->second->durable.flip(offset, xor_mask);
}

std::vector<std::byte> SimulatedDisk::content(const std::string& path) {
  std::lock_guard lock{state_->mutex};
  const auto it = state_->current.files.find(path);
  if (it == state_->current.files.end()) return {};
  std::vector<std::byte> bytes(it->second->current_bytes);
  it->second->current.read(0, bytes);
  return bytes;
}

std::uint64_t SimulatedDisk::free_bytes() {
  std::lock_guard lock{state_->mutex};
  const std::uint64_t capacity = state_->faults.capacity_bytes;
  if (capacity == 0) return std::uint64_t{1} << 40;
  return capacity > state_->used ? capacity - state_->used : 0;
}

std::uint64_t SimulatedDisk::used_bytes() const {
  std::lock_guard lock{state_->mutex};
  return state_->used;
}

std::unique_ptr<SimulatedDisk> SimulatedDisk::clone(std::uint64_t seed, SimulatedExecutor* executor) const {
  std::lock_guard lock{state_->mutex};
  auto copy = std::make_unique<SimulatedDisk>(seed, state_->faults, executor);
  std::map<const Inode*, InodeRef> copies;
  const auto copy_of = [&](const InodeRef& inode) -> InodeRef {
    if (!inode) return {};
    InodeRef& made = copies[inode.get()];
    if (!made) made = std::make_shared<Inode>(*inode);
    return made;
  };
  const auto copy_names = [&](const Names& from) {
    Names to;
    to.directories = from.directories;
    for (const auto& [name, inode] : from.files) to.files[name] = copy_of(inode);
    return to;
  };
  copy->state_->current = copy_names(state_->current);
  copy->state_->durable = copy_names(state_->durable);
  for (const auto& [directory, changes] : state_->pending_names) {
    for (NameChange change : changes) {
      change.inode = copy_of(change.inode);
      copy->state_->pending_names[directory].push_back(std::move(change));
    }
  }
  copy->state_->used = state_->used;
  copy->state_->crashed = state_->crashed;
  return copy;
}

}  // namespace rustbd::io
