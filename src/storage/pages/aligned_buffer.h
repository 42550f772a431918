// Zeroed memory aligned to 4096, as direct I/O wants it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace rustbd::storage {

class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t bytes) : size_((bytes + 4095) / 4096 * 4096) {
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, size_)));
    if (!memory_) throw std::bad_alloc();
    std::memset(memory_.get(), 0, size_);
  }
  [[nodiscard]] std::byte* data() { return memory_.get(); }
  [[nodiscard]] const std::byte* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte> span() { return {memory_.get(), size_}; }
  [[nodiscard]] std::span<std::byte> first(std::size_t bytes) { return {memory_.get(), bytes}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_;
};

}  // namespace rustbd::storage
