#include "rustbd/base/hash.h"

#include <xxhash.h>

namespace rustbd {

std::uint64_t hash_bytes(const void* data, std::size_t size) { return XXH3_64bits(data, size); }
std::uint64_t xxh3_64(const void* data, std::size_t size) { return XXH3_64bits(data, size); }

}  // namespace rustbd
