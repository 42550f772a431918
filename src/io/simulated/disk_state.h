// The inside of SimulatedDisk: files, names, what is not durable yet, what is damaged.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/sparse_image.h"

namespace rustbd::io {

// A change since the last sync, in order. Empty data: the file's size becomes `offset` (allocate, truncate).
struct PendingChange {
  std::uint64_t offset = 0;
  std::vector<std::byte> data;
  bool cuts = false;  // truncate: may make it shorter
};

/// A range that does not hold what its writer was told it holds.
struct WoundedRange {
  std::uint64_t offset = 0, bytes = 0;
  std::size_t damage = 0;  // index into State::damages
  bool lost = false;       // reads of it fail
};

struct Inode {
  SparseImage current, durable;
  std::uint64_t current_bytes = 0, durable_bytes = 0;
  std::vector<PendingChange> pending;
  std::vector<WoundedRange> wounds;
};
using InodeRef = std::shared_ptr<Inode>;

/// One fault that nobody was told of when it happened.
struct Damage {
  DamageKind kind;
  bool read = false;         // somebody got bytes from where it struck
  std::uint32_t places = 0;  // ranges that nobody has overwritten since
};

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

inline std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}
inline std::string normal(const std::string& path) { return path == "." ? std::string{} : path; }

inline std::unexpected<IoFailure> failed(IoFailure why) { return std::unexpected{why}; }

struct Planned {
  std::string part;
  std::uint32_t count;
};

inline bool take(std::vector<Planned>& planned, const std::string& path) {
  for (Planned& p : planned) {
    if (p.count > 0 && path.find(p.part) != std::string::npos) {
      --p.count;
      return true;
    }
  }
  return false;
}

/// Bytes [begin, end) of a file that cannot be read for the moment.
struct BadPlace {
  std::string path;
  std::uint64_t begin, end;
  [[nodiscard]] bool overlaps(const std::string& other, std::uint64_t offset, std::uint64_t bytes) const {
    return path == other && begin < offset + bytes && offset < end;
  }
};

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
  std::vector<Planned> failing_syncs, failing_writes, failing_reads, refused_reads;
  std::vector<BadPlace> bad_places;
  std::uint64_t lasting_read_errors = 0;
  std::vector<Damage> damages;

  bool rolls(std::uint32_t per_million) { return per_million != 0 && random.below(1'000'000) < per_million; }
  bool rolls_for(std::uint32_t per_million, const std::string& path) {
    return per_million != 0 && (!faults.applies_to || faults.applies_to(path)) && rolls(per_million);
  }
  bool rolls_damage(std::uint32_t per_million, const std::string& path, std::uint64_t offset,
                    std::uint64_t bytes) {
    return per_million != 0 && (!faults.may_damage || faults.may_damage(path, offset, bytes)) &&
           rolls_for(per_million, path);
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
  // One write, whose bytes nothing older may come over any more.
  void settle_one(Inode& inode, std::size_t index) {
    const auto truncates = [](const PendingChange& change) { return change.cuts; };
    if (std::any_of(inode.pending.begin(), inode.pending.begin() + static_cast<std::ptrdiff_t>(index),
                    truncates)) {
      settle_all(inode);  // what a truncate takes away and what comes back are too much for this model
      return;
    }
    const PendingChange target = std::move(inode.pending[index]);
    const std::uint64_t begin = target.offset, end = begin + target.data.size();
    std::vector<PendingChange> kept;
    for (std::size_t i = 0; i < inode.pending.size(); ++i) {
      PendingChange& change = inode.pending[i];
      const std::uint64_t from = change.offset, to = from + change.data.size();
      if (i == index) continue;
      if (i > index || change.data.empty() || to <= begin || end <= from) {
        kept.push_back(std::move(change));
        continue;
      }
      const auto part = [&](std::uint64_t first, std::uint64_t last) {
        const auto at = change.data.begin() + static_cast<std::ptrdiff_t>(first - from);
        kept.push_back({first, {at, at + static_cast<std::ptrdiff_t>(last - first)}, false});
      };
      if (from < begin) part(from, begin);
      if (end < to) part(end, to);
    }
    inode.pending = std::move(kept);
    settle(inode, target);
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
      const std::uint64_t at = chunk * SparseImage::kChunkBytes + random.below(SparseImage::kChunkBytes);
      inode.durable.flip(at, static_cast<std::uint8_t>(1u << random.below(8)));
      damages.push_back({DamageKind::kAtRest});
      wound(inode, at, 1, damages.size() - 1);
    }
  }

  // --- damage ---
  Inode& to_damage(const std::string& path) {
    const auto it = current.files.find(path);
    RUSTBD_ASSERT(it != current.files.end(), "no such file to damage");
    return *it->second;
  }
  void wound(Inode& inode, std::uint64_t offset, std::uint64_t bytes, std::size_t damage, bool lost = false) {
    inode.wounds.push_back({offset, bytes, damage, lost});
    ++damages[damage].places;
  }
  static bool overlaps(const WoundedRange& w, std::uint64_t offset, std::uint64_t bytes) {
    return w.offset < offset + bytes && offset < w.offset + w.bytes;
  }
  void note_read(const Inode& inode, std::uint64_t offset, std::uint64_t bytes) {
    for (const WoundedRange& w : inode.wounds)
      if (overlaps(w, offset, bytes)) damages[w.damage].read = true;
  }
  static bool is_lost(const Inode& inode, std::uint64_t offset, std::uint64_t bytes) {
    return std::ranges::any_of(inode.wounds,
                               [&](const WoundedRange& w) { return w.lost && overlaps(w, offset, bytes); });
  }
  // What lies wholly in the range is as its writer wants it now.
  void heal(Inode& inode, std::uint64_t offset, std::uint64_t bytes) {
    std::erase_if(inode.wounds, [&](const WoundedRange& w) {
      if (w.offset < offset || w.offset + w.bytes > offset + bytes) return false;
      --damages[w.damage].places;
      return true;
    });
  }
  void recount() {
    used = 0;
    for (const auto& [name, inode] : current.files) used += inode->current_bytes;
  }
};

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedDisk::State& state, InodeRef inode, std::string path, OpenOptions options);

  void read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) override;
  void write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) override;
  void datasync_async(IoRequest* request) override;
  IoResult<> read(std::uint64_t offset, std::span<std::byte> into) override;
  IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) override;
  IoResult<> datasync() override;
  IoResult<> write_durable(std::uint64_t offset, std::span<const std::byte> from) override;
  IoResult<> allocate(std::uint64_t offset, std::uint64_t bytes) override;
  IoResult<> truncate(std::uint64_t bytes) override;
  IoResult<std::uint64_t> size() override;

 private:
  [[nodiscard]] bool dead() const { return state_.crashed || generation_ != state_.generation; }
  void check_alignment(std::uint64_t offset, std::span<const std::byte> bytes) const;
  IoResult<> do_read(std::uint64_t offset, std::span<std::byte> into);
  IoResult<> do_write(std::uint64_t offset, std::span<const std::byte> from);
  IoResult<> do_datasync();
  IoResult<> write_locked(std::uint64_t offset, std::span<const std::byte> from);
  IoResult<> do_write_durable(std::uint64_t offset, std::span<const std::byte> from);
  bool lose(std::uint64_t offset, std::span<const std::byte> from);
  std::uint64_t misdirect(std::uint64_t offset, std::span<const std::byte> from);
  [[nodiscard]] bool fails(std::uint64_t offset, std::uint64_t bytes);
  [[nodiscard]] std::uint64_t some_block(std::uint64_t bytes);
  std::chrono::microseconds latency();
  void finish(IoRequest* request, IoResult<> status);
  IoResult<> pause(IoResult<> status);

  SimulatedDisk::State& state_;
  const InodeRef inode_;
  const std::string path_;
  const OpenOptions options_;
  const std::uint64_t generation_;
};

}  // namespace rustbd::io
