// Window functions as pg_proc lists them. The binder and executor know them by name; the registry has no kernels for them.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "rustbd/base/ids.h"

namespace rustbd::catalog {

struct WindowFunction {
  Oid oid;
  std::string_view name;
  Oid result;
  std::array<Oid, 3> arguments;
  std::uint8_t argument_count;
};
std::span<const WindowFunction> window_functions();

}  // namespace rustbd::catalog
