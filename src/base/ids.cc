#include "rustbd/base/ids.h"

#include <fmt/format.h>

namespace rustbd {

std::string to_text(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn.raw() >> 32, lsn.raw() & 0xFFFFFFFFu); }

}  // namespace rustbd
