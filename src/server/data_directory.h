// The data directory as a place in the file system: made if absent, private, and used by one process.
#pragma once

#include <memory>
#include <string>

#include "rustbd/io/disk.h"

namespace rustbd::server {

struct DataDirectory {
  std::unique_ptr<io::Disk> disk;
  bool is_new = false;  // no database is in it yet
};
/// Throws 58030 with the path, 55006 when it is not a directory of ours. `create`: make it (mode 0700) if
/// absent.
DataDirectory open_data_directory(const std::string& path, bool create);

}  // namespace rustbd::server
