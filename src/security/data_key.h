// A data key: seals pages, undo snapshots and log batches. Its secret is kept wrapped in keys.tab
// (key_ring.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "rustbd/base/ids.h"
#include "rustbd/security/aead.h"

namespace rustbd::security {

/// Each purpose has a subkey of its own, so that their nonces may be the same.
enum class Purpose : std::uint8_t { kPage = 0, kSnapshot = 1, kLog = 2 };
inline constexpr std::size_t kPurposes = 3;

/// Where a nonce is stored as its counter alone.
struct Seal {
  std::uint64_t counter = 0;
  Tag tag{};
};

/// Threads: any. A key seals in one run of the server only: the counters start at zero, and the next start
/// has a key of its own (storage.md I14).
class DataKey {
 public:
  DataKey(std::uint32_t id, std::uint16_t index, Cipher cipher, std::int64_t created_us,
          const KeyBytes& secret);
  ~DataKey();
  DataKey(const DataKey&) = delete;
  DataKey& operator=(const DataKey&) = delete;

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] std::uint16_t index() const { return index_; }  // in the ring of this run; never 0
  [[nodiscard]] Cipher cipher() const { return cipher_; }
  [[nodiscard]] std::int64_t created_us() const { return created_us_; }  // wall clock

  /// Counts up for the nonce; encrypts `text` in place.
  Seal seal(Purpose purpose, ByteSpan associated, MutableByteSpan text) const;
  /// The nonce to note before sealing with `associated` data that contain it.
  [[nodiscard]] std::uint64_t next_counter(Purpose purpose) const {
    return counters_[static_cast<std::size_t>(purpose)].fetch_add(1, std::memory_order_relaxed) + 1;
  }
  Tag seal_with(Purpose purpose, std::uint64_t counter, ByteSpan associated, MutableByteSpan text) const;
  /// Decrypts in place. False: tampered with, or sealed by another key.
  [[nodiscard]] bool open(Purpose purpose, const Seal& seal, ByteSpan associated, MutableByteSpan text) const;

  /// A batch sealed with this key ends at `end`.
  void note_log_end(Lsn end) const;
  /// No batch sealed with this key in this run lies behind it.
  [[nodiscard]] Lsn log_end() const { return Lsn{log_end_.load(std::memory_order_acquire)}; }

 private:
  friend class KeyUse;
  const std::uint32_t id_;
  const std::uint16_t index_;
  const Cipher cipher_;
  const std::int64_t created_us_;
  KeyBytes subkeys_[kPurposes];
  mutable std::atomic<std::uint64_t> counters_[kPurposes]{};
  mutable std::atomic<std::uint64_t> log_end_{0};
  mutable std::atomic<std::uint64_t> uses_{0};

 public:
  /// What has been sealed with it and has not yet reached its place (KeyUse).
  [[nodiscard]] bool in_use() const { return uses_.load(std::memory_order_seq_cst) != 0; }
};

/// Holds a data key from before something is sealed until it stands where a reader finds it (the directory
/// entry, the log): a key in use is not destroyed. Empty: not encrypted. One thread at a time.
class KeyUse {
 public:
  KeyUse() = default;
  explicit KeyUse(const DataKey* key) : key_(key) {
    if (key_ != nullptr) key_->uses_.fetch_add(1, std::memory_order_seq_cst);
  }
  KeyUse(const KeyUse& other) : KeyUse(other.key_) {}
  KeyUse(KeyUse&& other) noexcept : key_(std::exchange(other.key_, nullptr)) {}
  KeyUse& operator=(KeyUse other) noexcept {
    std::swap(key_, other.key_);
    return *this;
  }
  ~KeyUse() {
    if (key_ != nullptr) key_->uses_.fetch_sub(1, std::memory_order_seq_cst);
  }
  [[nodiscard]] const DataKey* get() const { return key_; }
  const DataKey* operator->() const { return key_; }
  explicit operator bool() const { return key_ != nullptr; }

 private:
  const DataKey* key_ = nullptr;
};

}  // namespace rustbd::security
