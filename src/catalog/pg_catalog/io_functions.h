// Type input and output functions, comparison support functions and their like: pg_type and pg_amproc name
// them and clients join them with pg_proc, but SQL can't call most of them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "rustbd/base/ids.h"

namespace rustbd::catalog {

struct IoFunction {
  Oid oid;
  std::string_view name;
  Oid result;
  std::vector<Oid> arguments;
  char volatility;
};
/// Those of types that exist here and that the registry of functions doesn't have.
std::span<const IoFunction> io_functions();

}  // namespace rustbd::catalog
