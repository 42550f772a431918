// Memory that direct I/O takes.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "rustbd/base/assert.h"
#include "rustbd/log/format.h"

namespace rustbd::log {

struct FreeBlocks {
  void operator()(std::byte* p) const { std::free(p); }
};
using Blocks = std::unique_ptr<std::byte[], FreeBlocks>;

/// Aligned to kBlockBytes, of which `bytes` is a multiple; not initialised.
inline Blocks make_blocks(std::size_t bytes) {
  Blocks blocks{static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, bytes))};
  RUSTBD_ASSERT(blocks != nullptr, "out of memory");
  return blocks;
}

}  // namespace rustbd::log
