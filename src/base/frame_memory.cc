#include "rustbd/base/frame_memory.h"

#include <cstdint>
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
/// Plain memory, so that it is there until the thread's very end; the guard empties it before.
struct Lists {
  FreeFrame* first[kClasses];
  std::uint8_t count[kClasses];
  bool open, closed;
};
constinit thread_local Lists lists{};
struct Guard {
  bool used = false;
  ~Guard() {
    lists.closed = true;  // what later destructors of the thread give back goes at once
    for (auto& first : lists.first)
      while (FreeFrame* frame = first) {
        first = frame->next;
        ::operator delete(frame);
      }
  }
};
thread_local Guard guard;

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
  if (i >= kClasses || lists.count[i] >= kKept || lists.closed) {
    ::operator delete(memory);
    return;
  }
  if (!lists.open) lists.open = guard.used = true;  // makes the guard, so that it ends with the thread
  lists.first[i] = new (memory) FreeFrame{lists.first[i]};
  ++lists.count[i];
}

}  // namespace rustbd
