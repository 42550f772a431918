// Memory of coroutine frames. A statement makes and ends some forty of them, nested like calls: they are
// taken from the thread's own lists, last in first out, so that the next one lies where the cache has the
// last one.
#pragma once

#include <cstddef>

namespace rustbd {

/// Throws std::bad_alloc. Threads: any; a frame may be given back by another thread than took it.
[[nodiscard]] void* take_frame(std::size_t bytes);
/// `bytes`: as it was taken.
void give_frame(void* frame, std::size_t bytes) noexcept;

}  // namespace rustbd
