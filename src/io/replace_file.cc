#include "rustbd/io/replace_file.h"

namespace rustbd::io {

IoResult<> replace_file(Disk& disk, const std::string& path, std::span<const std::byte> content) {
  const std::string unfinished = path + ".new";
  const auto file = disk.open(unfinished, {.create = true});
  if (!file) return std::unexpected{file.error()};
  if (const auto cut = (*file)->truncate(0); !cut) return cut;
  if (const auto written = (*file)->write(0, content); !written) return written;
  if (const auto synced = (*file)->datasync(); !synced) return synced;
  if (const auto renamed = disk.rename(unfinished, path); !renamed) return renamed;
  const auto slash = path.rfind('/');
  return disk.sync_directory(slash == std::string::npos ? "" : path.substr(0, slash));
}

}  // namespace rustbd::io
