// A growing byte buffer with cheap appends: what encoders write into.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "rustbd/base/assert.h"

namespace rustbd::net {

/// Uninitialised memory, unlike std::string::resize. Threads: one at a time. Throws std::bad_alloc.
class OutputBuffer {
 public:
  OutputBuffer() = default;
  OutputBuffer(OutputBuffer&& from) noexcept
      : begin_(std::exchange(from.begin_, nullptr)),
        size_(std::exchange(from.size_, 0)),
        capacity_(std::exchange(from.capacity_, 0)) {}
  OutputBuffer& operator=(OutputBuffer&& from) noexcept {
    std::swap(begin_, from.begin_);
    std::swap(size_, from.size_);
    std::swap(capacity_, from.capacity_);
    return *this;
  }
  ~OutputBuffer() { std::free(begin_); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] char* data() { return begin_; }
  [[nodiscard]] const char* data() const { return begin_; }
  [[nodiscard]] std::string_view view() const { return {begin_, size_}; }
  void clear() { size_ = 0; }
  /// Forgets what comes after `size`.
  void truncate(std::size_t size) {
    RUSTBD_DEBUG_ASSERT(size <= size_);
    size_ = size;
  }
  /// Gives memory back.
  void release() {
    std::free(std::exchange(begin_, nullptr));
    size_ = capacity_ = 0;
  }

  /// At least `n` bytes behind the end, to be filled and then taken by advance().
  char* reserve(std::size_t n) {
    if (capacity_ - size_ < n) [[unlikely]]
      grow(n);
    return begin_ + size_;
  }
  void advance(std::size_t n) { size_ += n; }
  void append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(reserve(text.size()), text.data(), text.size());
    size_ += text.size();
  }
  void byte(char c) {
    *reserve(1) = c;
    ++size_;
  }
  void u16(std::uint16_t v) {
    v = __builtin_bswap16(v);
    std::memcpy(reserve(2), &v, 2);
    size_ += 2;
  }
  void u32(std::uint32_t v) {
    v = __builtin_bswap32(v);
    std::memcpy(reserve(4), &v, 4);
    size_ += 4;
  }
  void u64(std::uint64_t v) {
    v = __builtin_bswap64(v);
    std::memcpy(reserve(8), &v, 8);
    size_ += 8;
  }
  /// A text and its terminating zero; cut at a zero byte inside.
  void text(std::string_view s) {
    append(s.substr(0, s.find('\0')));
    byte('\0');
  }
  void put_u32(std::size_t at, std::uint32_t v) {
    v = __builtin_bswap32(v);
    std::memcpy(begin_ + at, &v, 4);
  }

 private:
  void grow(std::size_t n) {
    std::size_t capacity = capacity_ < 512 ? 512 : capacity_;
    while (capacity - size_ < n) capacity *= 2;
    auto* memory = static_cast<char*>(std::realloc(begin_, capacity));
    if (memory == nullptr) throw std::bad_alloc{};
    begin_ = memory;
    capacity_ = capacity;
  }
  char* begin_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace rustbd::net
