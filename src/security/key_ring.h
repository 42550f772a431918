// The data keys of a data directory, and the file in which they are kept, wrapped by the master key.
//
// keys.tab (docs/formats/keys.md) is replaced as a whole: temporary file, sync, rename, sync of the
// directory; it holds its table twice, so that a rotten block loses nothing. Invariants: (1) a key is durable
// there before it seals anything; (2) each start of the server adds a key, and the last one added seals; (3)
// a key goes only when nothing that can be read is sealed with it: whoever calls destroy() has made sure.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/security/data_key.h"
#include "rustbd/security/master_key.h"

namespace rustbd::security {

inline constexpr const char* kKeyFileName = "keys.tab";
inline constexpr std::size_t kKeysMax = 32768;  // of one run, the destroyed ones included
/// From so many on a start makes all earlier ones retire, so that they go before there are too many.
inline constexpr std::size_t kKeysMany = 3072;

enum class KeyState : std::uint8_t {
  kActive = 1,    // seals, or has sealed what may stay as it is
  kRetiring = 2,  // what it has sealed is being sealed anew
};
struct KeyInfo {
  std::uint32_t id = 0;
  Cipher cipher{};
  KeyState state{};
  std::int64_t created_us = 0;  // wall clock
  bool current = false;
};

/// The ids of the keys in a keys.tab, ascending; needs no master key. Empty: none, or both copies are
/// damaged.
std::vector<std::uint32_t> key_ids(ByteSpan file);
enum class KeyMerge : std::uint8_t {
  kDone,
  kDamaged,      // both copies of one of them
  kOtherMaster,  // they are wrapped by different master keys, and the newer one has not all keys of the older
  kOtherKey,     // a key of one is not the other's key of that id: tables of two databases
};
struct MergedKeys {
  KeyMerge outcome = KeyMerge::kDamaged;
  Bytes file;                // kDone
  std::uint32_t key_id = 0;  // kOtherKey: the first such one
};
/// A keys.tab with all keys of both, the newer one's entries where both have a key. Needs no master key: a
/// key is the same if id, cipher and time of creation are, which its wrapping authenticates and which another
/// master key leaves as they are.
MergedKeys merge_key_tables(ByteSpan older, ByteSpan newer);

/// Of a keys.tab that is good those keys; needs no master key.
Bytes only_keys(ByteSpan file, const std::set<std::uint32_t>& ids);

/// Threads: any. Errors: 58030 and 53100 the file cannot be read or written, XX001 it is damaged, 28000 the
/// master key is another one, 55000 it is missing, full, or an older copy.
class KeyRing {
 public:
  /// Reads keys.tab and adds the key of this start, which is durable on return. `make`: start with an empty
  /// table if there is none. `next_id`: what next_id() has been at the least, elsewhere kept; a table that
  /// says less is an older copy, and refused with nothing written. Blocks. `environment` outlives the ring.
  static std::unique_ptr<KeyRing> open(const io::Environment& environment, const MasterKey& master,
                                       Cipher cipher, bool make, std::uint32_t next_id = 0);
  /// For tools that only read: adds no key and writes nothing.
  static std::unique_ptr<KeyRing> open_read_only(const io::Environment& environment, const MasterKey& master,
                                                 std::uint32_t next_id = 0);
  /// The keys of a keys.tab that has been read: as open_read_only().
  static std::unique_ptr<KeyRing> of_table(ByteSpan file, const MasterKey& master);
  ~KeyRing();

  /// What seals from now on; empty in a ring that only reads.
  [[nodiscard]] KeyUse current() const;
  /// nullptr: not there (any more). Keys live as long as the ring.
  [[nodiscard]] const DataKey* find(std::uint32_t id) const;
  /// By DataKey::index(); nullptr for 0.
  [[nodiscard]] const DataKey* at(std::uint16_t index) const {
    return index < kKeysMax ? by_index_[index].load(std::memory_order_acquire) : nullptr;
  }

  /// A new data key seals from now on, and all others retire. Blocks; durable on return.
  void rotate(Cipher cipher);
  /// Keys as they are, wrapped by another master key. Blocks; durable on return.
  void rewrap(const MasterKey& master);
  [[nodiscard]] bool retires(std::uint16_t index) const;
  [[nodiscard]] std::vector<const DataKey*> retiring() const;
  /// They are gone from the file on return. Blocks.
  /// @pre none of them is current or in use, and nothing that can still be read is sealed with one.
  void destroy(std::span<const std::uint32_t> ids);
  /// Those that find() finds.
  [[nodiscard]] std::vector<KeyInfo> keys() const;
  [[nodiscard]] bool has_many() const;  // kKeysMany
  /// No key that is or was in use has it or a higher one; and the file says so, durably.
  [[nodiscard]] std::uint32_t next_id() const;

  /// The log of this run begins at `lsn`: what the keys of earlier ones have sealed lies before.
  void set_log_start(Lsn lsn) { log_start_.store(lsn.raw(), std::memory_order_release); }
  /// No batch that `key` has sealed lies behind it.
  [[nodiscard]] Lsn log_end(const DataKey& key) const;

 private:
  struct Entry {
    std::unique_ptr<DataKey> key;
    KeyState state = KeyState::kActive;
    Nonce nonce{};
    KeyBytes wrapped{};
    Tag tag{};
    bool earlier = false;  // made by an earlier start
    bool gone = false;     // no longer in the file
  };
  KeyRing(const io::Environment& environment, const MasterKey& master);
  void read(bool make, std::uint32_t next_id);
  void parse(ByteSpan table);
  /// One at a time: changes the entries, writes the file, then publishes the change, or takes it back.
  void replace(const std::function<void()>& change, const std::function<void()>& publish,
               const std::function<void()>& take_back);
  void add(Cipher cipher);
  void publish_newest();
  void wrap(Entry& entry, const KeyBytes& secret) const;
  [[nodiscard]] KeyBytes unwrap(const Entry& entry) const;
  void write(ByteSpan table) const;
  [[nodiscard]] Bytes encode() const;

  io::Environment environment_;
  mutable std::mutex mutex_;  // protects the ones below
  io::WaitToken replacing_;   // somebody replaces the file; fires when that has ended
  MasterKey master_;
  std::vector<Entry> entries_;
  std::uint32_t next_id_ = 1, durable_next_id_ = 1;  // the file's, or one that it had before
  std::atomic<const DataKey*> current_{nullptr};
  std::unique_ptr<std::atomic<const DataKey*>[]> by_index_;
  std::unique_ptr<std::atomic<bool>[]> retiring_, gone_;  // by index
  std::atomic<std::size_t> count_{0};                     // of indexes in use, 0 included
  std::atomic<std::uint64_t> log_start_{0};
};

}  // namespace rustbd::security
