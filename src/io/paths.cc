#include "rustbd/io/paths.h"

#include <filesystem>

namespace rustbd::io {

namespace fs = std::filesystem;

bool lies_in(const std::string& path, const std::string& directory) {
  std::error_code failure;
  fs::path at = fs::weakly_canonical(fs::absolute(path, failure), failure);
  if (failure) at = fs::absolute(path, failure).lexically_normal();
  for (;; at = at.parent_path()) {
    if (fs::equivalent(at, directory, failure)) return true;
    if (at == at.parent_path()) return false;
  }
}

}  // namespace rustbd::io
