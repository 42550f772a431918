#include "rustbd/io/simulated/simulated_disk.h"

#include <algorithm>

#include "rustbd/base/assert.h"
#include "rustbd/io/simulated/disk_state.h"

namespace rustbd::io {

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
  if (state_->rolls_for(state_->faults.no_descriptors, path)) return failed(IoFailure::kNoResources);
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
  if (state_->rolls_for(state_->faults.no_descriptors, path)) return failed(IoFailure::kNoResources);
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
  if (state_->rolls_for(state_->faults.no_descriptors, path)) return failed(IoFailure::kNoResources);
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
  return state_->crashed || state_->has_directory(normal(path)) || state_->current.files.contains(path);
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

std::uint64_t SimulatedDisk::lasting_read_errors() const {
  std::lock_guard lock{state_->mutex};
  return state_->lasting_read_errors;
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
  s.bad_places.clear();
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

void SimulatedDisk::refuse_reads(std::string part, std::uint32_t count) {
  std::lock_guard lock{state_->mutex};
  state_->refused_reads.push_back({std::move(part), count});
}

bool SimulatedDisk::overwrite_at_rest(const std::string& path, std::uint64_t offset,
                                      std::span<const std::byte> bytes) {
  std::lock_guard lock{state_->mutex};
  Inode& inode = state_->to_damage(path);
  RUSTBD_ASSERT(offset + bytes.size() <= inode.current_bytes, "damage lies in the file");
  state_->settle_all(inode);
  std::vector<std::byte> before(bytes.size());
  inode.current.read(offset, before);
  if (std::ranges::equal(before, bytes)) return false;
  inode.current.write(offset, bytes);
  inode.durable.write(offset, bytes);
  state_->damages.push_back({DamageKind::kAtRest});
  state_->wound(inode, offset, bytes.size(), state_->damages.size() - 1);
  return true;
}

void SimulatedDisk::lose_sectors(const std::string& path, std::uint64_t first_byte, std::uint64_t sectors) {
  std::lock_guard lock{state_->mutex};
  Inode& inode = state_->to_damage(path);
  RUSTBD_ASSERT(first_byte % kSectorBytes == 0, "whole sectors");
  state_->damages.push_back({DamageKind::kLostSectors});
  for (std::uint64_t i = 0; i < sectors; ++i)
    state_->wound(inode, first_byte + i * kSectorBytes, kSectorBytes, state_->damages.size() - 1, true);
}

DamageCounts SimulatedDisk::damage() const {
  std::lock_guard lock{state_->mutex};
  DamageCounts counts;
  for (const Damage& d : state_->damages) {
    ++counts.injected[static_cast<std::size_t>(d.kind)];
    if (d.read) ++counts.read;
    else if (d.places == 0) ++counts.overwritten;
    else ++counts.never_read;
  }
  return counts;
}

void SimulatedDisk::corrupt(const std::string& path, std::uint64_t offset, std::uint8_t xor_mask) {
  std::lock_guard lock{state_->mutex};
  Inode& inode = state_->to_damage(path);
  state_->settle_all(inode);
  inode.current.flip(offset, xor_mask);
  inode.durable.flip(offset, xor_mask);
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
  copy->state_->damages = state_->damages;
  copy->state_->used = state_->used;
  copy->state_->crashed = state_->crashed;
  return copy;
}

}  // namespace rustbd::io
