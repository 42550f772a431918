// OverlayDisk: a directory that is never written to. What is written goes to memory and is seen by later
// reads, so that recovery can run on a directory that is only being examined.
#pragma once

#include <memory>

#include "rustbd/io/disk.h"

namespace rustbd::server {

/// Files and locks of `base` are opened read-only; `base` outlives the result. Memory: 4 KiB for each block
/// written. Threads: any. Asynchronous operations are done inside the call.
std::unique_ptr<io::Disk> make_overlay_disk(io::Disk& base);

}  // namespace rustbd::server
