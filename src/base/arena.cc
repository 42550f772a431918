#include "rustbd/base/arena.h"

#include <algorithm>

namespace rustbd {

void* Arena::allocate_slow(std::size_t bytes, std::size_t alignment) {
  const std::size_t size = std::max(next_block_, bytes + alignment);
  next_block_ = std::min<std::size_t>(next_block_ * 2, 1u << 20);
  blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
  reserved_ += size;
  cursor_ = reinterpret_cast<std::uintptr_t>(blocks_.back().bytes.get());
  end_ = cursor_ + size;
  const auto start = (cursor_ + alignment - 1) & ~(alignment - 1);
  cursor_ = start + bytes;
  return reinterpret_cast<void*>(start);
}

void Arena::run_destructors() {
  for (auto it = destructors_.rbegin(); it != destructors_.rend(); ++it) it->second(it->first);
  destructors_.clear();
}

void Arena::keep_largest() {
  auto largest =
      std::max_element(blocks_.begin(), blocks_.end(), [](auto& a, auto& b) { return a.size < b.size; });
  Block kept = std::move(*largest);
  blocks_.clear();
  end_ = reinterpret_cast<std::uintptr_t>(kept.bytes.get()) + kept.size;
  reserved_ = kept.size;
  blocks_.push_back(std::move(kept));
}

}  // namespace rustbd
