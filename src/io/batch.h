// What a lane's thread leaves for the end of the batch of requests that it is serving.
#pragma once

#include <vector>

#include "rustbd/io/wait.h"

namespace rustbd::io {

/// While it lives, the thread that made it serves a batch: jobs given to after_batch() run, in order, when it
/// ends (those that they put off in turn: at once). Threads: one; not nested.
class Batch {
 public:
  Batch();
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

 private:
  friend bool after_batch(Job&& job);
  std::vector<Job> jobs_;
};

/// Keeps `job` for the end of the thread's batch: one system call, or one change of context, may do for many
/// requests then. False, and `job` untouched: the thread serves no batch, the caller runs it itself, now. The
/// end may be a long request away, so nothing that others wait for may hang on it.
bool after_batch(Job&& job);

/// True: the thread serves a batch, so that more requests are ready than there are processors for.
bool in_batch();

}  // namespace rustbd::io
