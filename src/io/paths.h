// Questions about paths of the real file system.
#pragma once

#include <string>

namespace rustbd::io {

/// Whether `path` is that directory or lies in it, whatever symbolic links lead there. `path` need not exist.
/// False where the directory does not.
bool lies_in(const std::string& path, const std::string& directory);

}  // namespace rustbd::io
