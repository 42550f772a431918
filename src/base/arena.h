// Memory that is taken piece by piece and given back all at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "rustbd/base/small_vector.h"

namespace rustbd {

/// Bump allocator. Threads: one at a time. What is made in it must be trivially destructible (or made by
/// `own`).
class Arena {
 public:
  explicit Arena(std::size_t first_block_bytes = 4096) : next_block_(first_block_bytes) {}
  Arena(Arena&&) noexcept = default;
  Arena& operator=(Arena&&) noexcept = default;
  ~Arena() { run_destructors(); }

  void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    auto start = (cursor_ + alignment - 1) & ~(alignment - 1);
    if (start + bytes > end_ || start < cursor_) return allocate_slow(bytes, alignment);
    cursor_ = start + bytes;
    return reinterpret_cast<void*>(start);
  }
  template <class T, class... Args>
  requires std::is_trivially_destructible_v<T> T* make(Args&&... args) {
    return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }
  /// Like make for types with a destructor: it runs when the arena dies or is reset.
  template <class T, class... Args>
  T* own(Args&&... args) {
    T* object = new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
    destructors_.emplace_back(object, [](void* p) { static_cast<T*>(p)->~T(); });
    return object;
  }
  template <class T>
  T* make_array(std::size_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    T* first = static_cast<T*>(allocate(sizeof(T) * n, alignof(T)));
    for (std::size_t i = 0; i < n; ++i) new (first + i) T();
    return first;
  }
  template <class T>
  std::span<T> copy(std::span<const T> from) {
    static_assert(std::is_trivially_copyable_v<T>);
    T* to = static_cast<T*>(allocate(sizeof(T) * from.size(), alignof(T)));
    if (!from.empty()) std::memcpy(static_cast<void*>(to), from.data(), from.size_bytes());
    return {to, from.size()};
  }
  std::string_view copy(std::string_view text) {
    char* to = static_cast<char*>(allocate(text.size(), 1));
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  /// Gives everything back but the largest block, which is kept for the next round.
  void reset() {
    if (!destructors_.empty()) run_destructors();
    if (blocks_.size() > 1) keep_largest();
    if (!blocks_.empty()) cursor_ = reinterpret_cast<std::uintptr_t>(blocks_[0].bytes.get());
  }
  [[nodiscard]] std::size_t bytes_reserved() const { return reserved_; }

 private:
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size;
  };
  void* allocate_slow(std::size_t bytes, std::size_t alignment);
  void run_destructors();
  void keep_largest();
  std::uintptr_t cursor_ = 0, end_ = 0;
  std::size_t next_block_, reserved_ = 0;
  SmallVector<Block, 1> blocks_;
  std::vector<std::pair<void*, void (*)(void*)>> destructors_;
};

}  // namespace rustbd
