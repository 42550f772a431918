// Zeroed memory aligned to 4096, as direct I/O wants it. A large one is fresh pages of the kernel, which are
// zero already and cost nothing until they are touched.
#pragma once

#include <sys/mman.h>

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
    if (size_ >= kMappedBytes) {
      void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (mapped == MAP_FAILED) throw std::bad_alloc();
      memory_ = Memory(static_cast<std::byte*>(mapped), Free{size_});
    } else {
      memory_ = Memory(static_cast<std::byte*>(std::aligned_alloc(4096, size_)), Free{0});
      if (!memory_) throw std::bad_alloc();
      std::memset(memory_.get(), 0, size_);
    }
  }
  [[nodiscard]] std::byte* data() { return memory_.get(); }
  [[nodiscard]] const std::byte* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte> span() { return {memory_.get(), size_}; }
  [[nodiscard]] std::span<std::byte> first(std::size_t bytes) { return {memory_.get(), bytes}; }

 private:
  static constexpr std::size_t kMappedBytes = 64 << 10;
  struct Free {
    std::size_t mapped = 0;  // bytes; 0: from the heap
    void operator()(std::byte* p) const {
      if (mapped == 0) std::free(p);
      else ::munmap(p, mapped);
    }
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  Memory memory_{nullptr, Free{}};
  std::size_t size_;
};

}  // namespace rustbd::storage
