// CheckpointPin: a durable checkpoint that stays readable while newer ones replace it; what a backup copies.
#pragma once

#include "rustbd/storage/pages/checkpointer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_allocator.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {

/// As long as it lives no extent is written over that superblock() reaches, and no data key is destroyed. The
/// data file grows by what newer checkpoints replace meanwhile. Threads: any.
class CheckpointPin {
 public:
  /// The hold comes first: a checkpoint that becomes durable in between is the one that is pinned.
  CheckpointPin(ExtentAllocator& allocator, DataFile& file, const Checkpointer& checkpointer)
      : allocator_(allocator), file_(file) {
    allocator_.hold();
    superblock_ = checkpointer.superblock();
  }
  ~CheckpointPin() { allocator_.release(); }
  CheckpointPin(const CheckpointPin&) = delete;
  CheckpointPin& operator=(const CheckpointPin&) = delete;

  [[nodiscard]] const Superblock& superblock() const { return superblock_; }
  /// For reading.
  [[nodiscard]] DataFile& file() const { return file_; }

 private:
  ExtentAllocator& allocator_;
  DataFile& file_;
  Superblock superblock_;
};

}  // namespace rustbd::storage
