#include "rustbd/base/frame_memory.h"

#include <array>
#include <new>

namespace rustbd {

namespace {
constexpr std::size_t kStep = 64, kClasses = 64;  // sizes of a class differ by less than a line of the cache
#if defined(RUSTBD_ASAN)
constexpr std::size_t kKept = 0;  // who uses a frame after its end must be found
#else
constexpr std::size_t kKept = 32;  // of one class
#endif

struct FreeFrame {
  FreeFrame* next;
};
struct Lists {
  std::array<FreeFrame*, kClasses> first{};
  std::array<std::size_t, kClasses> count{};
  std::size_t most = kKept;
  ~Lists() {
    most = 0;  // what later destructors of the thread give back goes at once
    for (std::size_t i = 0; i < kClasses; ++i)
      while (FreeFrame* frame = first[i]) {
        first[i] = frame->next;
        ::operator delete(frame);
      }
  }
};
thread_local Lists lists;

constexpr std::size_t class_of(std::size_t bytes) { return (bytes - 1) / kStep; }
}  // namespace

void* take_frame(std::size_t bytes) {
  const auto i = class_of(bytes);
  if (i >= kClasses) return ::operator new(bytes);
  if (FreeFrame* frame = lists.first[i]) {
    lists.first[i] = frame->next;
    --lists.count[i];
    return frame;
  }
  return ::operator new((i + 1) * kStep);
}

void give_frame(void* memory, std::size_t bytes) noexcept {
  const auto i = class_of(bytes);
  if (i >= kClasses || lists.count[i] >= lists.most) {
    ::operator delete(memory);
    return;
  }
  lists.first[i] = new (memory) FreeFrame{lists.first[i]};
  ++lists.count[i];
}

}  // namespace rustbd
