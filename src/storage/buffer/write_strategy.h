// When dirty pages are written.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rustbd::storage {

/// When the shadow copy of a dirty page is written: kWriteBack by eviction or checkpoint only, kWriteThrough
/// as soon as its latch is free, kWriteBehind when it has been dirty for half a second or 30 % of the pool
/// is. Durability is the log's business in all three.
enum class WriteStrategy : std::uint8_t { kWriteBack, kWriteThrough, kWriteBehind };
inline constexpr std::array kWriteStrategies = {WriteStrategy::kWriteBack, WriteStrategy::kWriteThrough,
                                                WriteStrategy::kWriteBehind};
/// "writeback", "writethrough", "writebehind".
std::string_view to_text(WriteStrategy strategy);

}  // namespace rustbd::storage
