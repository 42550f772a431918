// CRC-32C (Castagnoli, RFC 3720): the checksum of log batches and superblocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rustbd {

/// Extends `crc` (0 to begin) by `size` bytes. Hardware instruction, eight bytes a step.
std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t size);
/// CRC of A‖B from crc(A), crc(B) and the length of B, without the bytes (zlib's crc32_combine, for this
/// polynomial).
std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::size_t size_b);

}  // namespace rustbd
