// Replaces a small file as a whole: after a power failure it has either the old content or the new one.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "rustbd/io/disk.h"

namespace rustbd::io {

/// Writes `path`.new, syncs it, renames it to `path` and syncs the directory. Durable on return; after an
/// error the file has either content. Blocks. One call at a time for each path.
IoResult<> replace_file(Disk& disk, const std::string& path, std::span<const std::byte> content);

}  // namespace rustbd::io
