// What a check of a tree found (`rustbd check`, tests).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rustbd/base/ids.h"

namespace rustbd::storage {

/// Empty problems: sound.
struct TreeReport {
  std::vector<std::string> problems;
  std::uint64_t inner_pages = 0, leaf_pages = 0, dead_pages = 0, entries = 0;
  std::vector<PageId> pages;  // all that belong to the tree, dead ones included
};

}  // namespace rustbd::storage
