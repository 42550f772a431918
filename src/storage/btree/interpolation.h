// The start of a search among ascending numbers.
#pragma once

#include <cstdint>

namespace rustbd::storage {

/// Narrows [*low, *high) by interpolation (Peterson 1957), in four or five probes: to 16 places where the
/// numbers are spread evenly. What is cut off below is < wanted, above it is > wanted. For a binary search
/// after it, whose probes would each wait for memory. Reads at(i) only for *low <= i < *high, whatever the
/// numbers say, so an optimistic reader may use it.
template <class At>
void narrow(std::uint64_t wanted, At&& at, std::uint32_t* low, std::uint32_t* high) {
  constexpr std::uint32_t kStep = 8, kMin = 32;
  if (*high < *low + kMin) return;
  const std::uint64_t first = at(*low), last = at(*high - 1);
  if (wanted <= first || wanted >= last || first >= last) return;
  const double part = static_cast<double>(wanted - first) / static_cast<double>(last - first);
  const std::uint32_t guess = *low + static_cast<std::uint32_t>(part * (*high - 1 - *low));
  const auto probe = [&](std::uint32_t i) {
    const std::uint64_t here = at(i);
    if (here < wanted) *low = i + 1;
    else if (here > wanted) *high = i;
    return here;
  };
  const std::uint64_t here = probe(guess);
  if (here <= wanted && guess + kStep < *high) probe(guess + kStep);
  if (here >= wanted && guess >= *low + kStep) probe(guess - kStep);
}

}  // namespace rustbd::storage
