// A disk in memory that crashes, tears, lies and rots, all from one seed.
//
// Per file it keeps a durable image and the list of writes since the last sync, cut in sectors of 512 bytes.
// After a crash each un-synced sector is independently old, new or (option) torn; a creation, rename or
// removal whose directory was not synced may be lost (per directory some prefix of them survives). Without an
// executor an operation is complete before the call returns. With one, asynchronous operations complete as
// tasks after the configured latency, and so do blocking calls on its background threads; blocking calls
// elsewhere complete at once.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/simulated/simulated_executor.h"

namespace rustbd::io {

inline constexpr std::size_t kSectorBytes = 512;

/// Rates are per million operations. All zero: a disk that only crashes when told to.
struct SimulatedFaults {
  std::uint32_t read_error = 0;             // EIO
  std::uint32_t lasting_per_mille = 0;      // of the read errors: until a write there, or restart()
  std::uint32_t write_error = 0;            // EIO, the write may have happened in part
  std::uint32_t sync_error = 0;             // EIO, and what was not synced may stay so for ever
  std::uint32_t no_space = 0;               // ENOSPC of a write, allocate or create
  std::uint32_t no_descriptors = 0;         // EMFILE of open, sync_directory or list
  std::uint32_t lost_write = 0;             // acknowledged, never applied
  std::uint32_t misdirected_write = 0;      // acknowledged, applied at another block of the file
  std::uint32_t misdirected_read = 0;       // gives the bytes of another block of the file
  std::uint32_t bit_rot = 0;                // per 4 KiB block at restart()
  std::uint32_t torn_sector_per_mille = 0;  // of the un-synced sectors at a crash
  std::uint64_t capacity_bytes = 0;         // 0: endless. A write that needs more gets ENOSPC
  // Latencies: with an executor only.
  std::uint32_t latency_us_max = 0;     // uniform 0..max
  std::uint32_t latency_us_median = 0;  // not 0: log-normal instead, the logarithm's deviation is 1
  std::uint32_t stall = 0;              // such an operation takes stall_us
  std::uint32_t stall_us = 0;
  std::function<bool(std::string_view path)> applies_to;  // empty: to all files
  /// Which ranges lost and misdirected operations may hit, at either end; empty: all. Not asked for bit_rot.
  std::function<bool(std::string_view path, std::uint64_t offset, std::uint64_t bytes)> may_damage;
};

/// Faults that the disk tells nobody of when they happen.
enum class DamageKind : std::uint8_t {
  kLostWrite,
  kMisdirectedWrite,
  kMisdirectedRead,
  kAtRest,
  kLostSectors
};
inline constexpr std::size_t kDamageKinds = 5;

struct DamageCounts {
  std::array<std::uint64_t, kDamageKinds> injected{};  // by kind
  std::uint64_t read = 0;                              // of them: somebody got the wrong bytes
  std::uint64_t overwritten = 0;                       // nobody did before something else was written there
  std::uint64_t never_read = 0;                        // nobody did so far
  [[nodiscard]] std::uint64_t total() const { return read + overwritten + never_read; }
};

/// Threads: any. Destroy after all files opened from it.
class SimulatedDisk final : public Disk {
 public:
  explicit SimulatedDisk(std::uint64_t seed, SimulatedFaults faults = {},
                         SimulatedExecutor* executor = nullptr);
  ~SimulatedDisk() override;

  IoResult<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override;
  IoResult<> remove(const std::string& path) override;
  IoResult<> rename(const std::string& from, const std::string& to) override;
  IoResult<> sync_directory(const std::string& path) override;
  IoResult<> make_directory(const std::string& path) override;
  IoResult<std::vector<std::string>> list(const std::string& path) override;
  bool exists(const std::string& path) override;
  IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  [[nodiscard]] std::string_view name() const override { return "simulated"; }
  std::uint64_t free_bytes() override;

  /// Changing operations so far: write, datasync, allocate, truncate, create, remove, rename, sync_directory,
  /// mkdir.
  [[nodiscard]] std::uint64_t operations() const;
  /// Places that could not be read until they were written (or restart()), so far.
  [[nodiscard]] std::uint64_t lasting_read_errors() const;
  /// The power fails in the `nth` changing operation from now (1: the next one). It may have taken effect in
  /// part.
  void crash_at(std::uint64_t nth);
  /// The power fails now. Every operation gives kDevice until restart().
  void crash();
  [[nodiscard]] bool crashed() const;
  /// Decides what survived, and works again. Files opened before stay dead; locks are gone.
  void restart();

  void set_faults(SimulatedFaults faults);
  /// The next `count` datasyncs of files whose path contains `part` fail.
  void fail_syncs(std::string part, std::uint32_t count);
  void fail_writes(std::string part, std::uint32_t count);
  void fail_reads(std::string part, std::uint32_t count);
  /// The same with kNoResources.
  void refuse_reads(std::string part, std::uint32_t count);
  /// Damage of a disk that lies still: puts other bytes there. False: they were there already.
  bool overwrite_at_rest(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes);
  /// Whole sectors that a disk cannot read any more: EIO, after restarts too, until each is written to.
  void lose_sectors(const std::string& path, std::uint64_t first_byte, std::uint64_t sectors);
  /// Of what has happened so far. A write that a crash takes back counts as having overwritten.
  [[nodiscard]] DamageCounts damage() const;
  /// Flips bits of the current and the durable image; for tests of detection.
  void corrupt(const std::string& path, std::uint64_t offset, std::uint8_t xor_mask);
  /// The current content (as a reader would see it); empty if there is no such file.
  std::vector<std::byte> content(const std::string& path);
  /// Bytes that files hold now.
  [[nodiscard]] std::uint64_t used_bytes() const;
  /// A separate disk with the same durable and un-synced state; for comparing two ways to go on.
  std::unique_ptr<SimulatedDisk> clone(std::uint64_t seed, SimulatedExecutor* executor = nullptr) const;

 private:
  friend class SimulatedFile;
  friend class SimulatedLock;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rustbd::io
