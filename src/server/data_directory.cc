#include "rustbd/server/data_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/storage.h"

namespace rustbd::server {

namespace fs = std::filesystem;

namespace {
/// What may lie in a directory that is to become ours.
bool is_bystander(const std::string& name) {
  return name == "rustbd.toml" || name == "lost+found" || name.starts_with('.');
}
}  // namespace

DataDirectory open_data_directory(const std::string& path, bool create) {
  DataDirectory out;
  std::error_code failure;
  const auto status = fs::status(path, failure);
  if (!fs::exists(status)) {
    if (!create) throw error(sqlstate::kUndefinedFile, "data directory \"{}\" does not exist", path);
    fs::create_directories(fs::path{path}.parent_path(), failure);
    if (::mkdir(path.c_str(), 0700) != 0)
      throw error(sqlstate::kIoError, "could not create data directory \"{}\": {}", path,
                  std::strerror(errno));
    out.is_new = true;
  } else if (!fs::is_directory(status)) {
    throw error(sqlstate::kIoError, "\"{}\" exists but is not a directory", path);
  } else {
    out.is_new = !fs::exists(fs::path{path} / storage::kLockFileName, failure);
    for (auto entry = fs::directory_iterator{path, failure};
         !failure && out.is_new && entry != fs::end(entry); entry.increment(failure))
      if (!is_bystander(entry->path().filename()))
        throw error(sqlstate::kIoError, "directory \"{}\" is not empty and holds no database", path);
    if (failure)
      throw error(sqlstate::kIoError, "could not read data directory \"{}\": {}", path, failure.message());
    // An empty directory becomes ours: nobody else may read it.
    if (out.is_new && create && ::chmod(path.c_str(), 0700) != 0)
      throw error(sqlstate::kIoError, "could not set permissions of data directory \"{}\": {}", path,
                  std::strerror(errno));
  }
  if (out.is_new && !create)
    throw error(sqlstate::kUndefinedFile, "directory \"{}\" holds no database", path);
  out.disk = io::make_real_disk(path);
  return out;
}

}  // namespace rustbd::server
