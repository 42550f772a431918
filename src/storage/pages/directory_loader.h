// Reading the stored page directory at start: entries into memory, their extents into the free map.
#pragma once

#include <cstdint>
#include <vector>

#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_allocator.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {

/// Throws Error XX001: damaged, or two extents overlap; 55000: a page is sealed with a key that is not there.
/// `free_ids`: descending, so that the lowest is used first.
void load_directory(DataFile& file, PageDirectory& directory, ExtentAllocator& allocator,
                    const Superblock& superblock, const security::KeyRing* keys,
                    std::vector<std::uint64_t>& free_ids);

}  // namespace rustbd::storage
