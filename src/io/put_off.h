// System calls that a thread puts off for a moment, so that one of them serves many requests: a worker that
// goes through a dozen coroutines, each of which misses a page, submits a dozen reads at once. Private to io.
#pragma once

#include <memory>

namespace rustbd::io {

/// What is put off. Threads: flush() from any, and without need: somebody else may have done it.
class PutOff {
 public:
  virtual ~PutOff() = default;
  virtual void flush() = 0;
};

/// True: the calling thread runs a lane's jobs and will flush before it waits for anything (an empty queue, a
/// token), at the latest after kJobsPutOff more jobs. False: the caller flushes itself, now.
bool put_off(const std::shared_ptr<PutOff>& what);
/// Flushes what this thread has put off.
void flush_put_off();

/// For lanes. Marks the calling thread, for as long as it lives, as one that flushes.
class PuttingOff {
 public:
  PuttingOff();
  ~PuttingOff();
  PuttingOff(const PuttingOff&) = delete;
  PuttingOff& operator=(const PuttingOff&) = delete;
  /// After each job.
  void count_job();

 private:
  unsigned jobs_ = 0;
};

inline constexpr unsigned kJobsPutOff = 16;

}  // namespace rustbd::io
