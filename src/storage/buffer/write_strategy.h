// When dirty pages are written.
#pragma once

#include <string_view>

#include "rustbd/storage/pages/choices.h"

namespace rustbd::storage {

/// "writeback", "writethrough", "writebehind".
std::string_view to_text(WriteStrategy strategy);

}  // namespace rustbd::storage
