// What an operator chooses about pages on disk and in memory; for the layers above, which only pass it on.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "rustbd/base/ids.h"
#include "rustbd/security/master_key.h"

namespace rustbd::storage {

/// How new images of pages are written; each image says how it was. Values are those on disk.
enum class PageCompression : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };

enum class EvictionPolicyKind : std::uint8_t { kClock, kLru, kRandom };
inline constexpr std::array kEvictionPolicyKinds = {EvictionPolicyKind::kClock, EvictionPolicyKind::kLru,
                                                    EvictionPolicyKind::kRandom};

/// When the shadow copy of a dirty page is written: kWriteBack by eviction or checkpoint only, kWriteThrough
/// as soon as its latch is free, kWriteBehind when it has been dirty for half a second or 30 % of the pool
/// is. Durability is the log's business in all three.
enum class WriteStrategy : std::uint8_t { kWriteBack, kWriteThrough, kWriteBehind };
inline constexpr std::array kWriteStrategies = {WriteStrategy::kWriteBack, WriteStrategy::kWriteThrough,
                                                WriteStrategy::kWriteBehind};

/// Encryption of pages and log. A directory that was opened with a master key once needs it from then on.
struct EncryptionOptions {
  std::optional<security::MasterKey> master_key;        // none: no encryption
  security::Cipher cipher = security::Cipher::kNone;    // of new data keys; kNone: the CPU's fastest
  std::uint64_t reseal_bytes_per_second = 32ull << 20;  // after a rotation
};

struct KeyRotation {
  std::uint64_t pages = 0, left = 0;  // to seal anew since the last rotation (or start)
  bool counted = false;               // these two; not yet right after a rotation
  bool running = false;               // there are keys that retire, or pages on disk that are not sealed
};

/// What is stored under one data key.
struct SealedByKey {
  std::uint64_t pages = 0, snapshot_extents = 0, log_batches = 0;
  Lsn log_end;  // of the last of these batches
};
/// By key id; 0: not sealed.
using SealedByKeys = std::map<std::uint32_t, SealedByKey>;

}  // namespace rustbd::storage
