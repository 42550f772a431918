// How a thread of the simulation waits: it runs other tasks instead of sleeping. Private to io.
#pragma once

#include "rustbd/io/wait.h"

namespace rustbd::io {

/// Set on the threads of a SimulatedExecutor; WaitToken::wait_blocking() calls it instead of sleeping.
struct BlockingHook {
  void (*wait)(void* context, const WaitToken& token) = nullptr;
  void* context = nullptr;
};
BlockingHook& blocking_hook_of_thread();

}  // namespace rustbd::io
