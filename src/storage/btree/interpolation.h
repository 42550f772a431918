// The start of a search among ascending numbers.
#pragma once

#include <cstdint>

namespace rustbd::storage {

/// How far from its guess narrow() looks.
inline constexpr std::uint32_t kGuessStep = 8;

/// Where in [low, high) `wanted` stands if the numbers there are spread evenly between `first` and `last`
/// (interpolation: Peterson 1957). A place of [low, high), whatever the numbers say; low < high.
[[nodiscard]] inline std::uint32_t guess_place(std::uint64_t wanted, std::uint64_t first, std::uint64_t last,
                                               std::uint32_t low, std::uint32_t high) {
  if (wanted <= first) return low;
  if (wanted >= last) return high - 1;
  const double part = static_cast<double>(wanted - first) / static_cast<double>(last - first);
  const std::uint32_t place = low + static_cast<std::uint32_t>(part * (high - low));
  return place < high ? place : high - 1;
}

/// Narrows [*low, *high) around a guess in it, in two or three probes: to 8 places where the guess was a good
/// one. What is cut off below is < wanted, above it is > wanted. For a binary search after it, whose probes
/// would each wait for memory. Reads at(i) only for *low <= i < *high, so an optimistic reader may use it.
template <class At>
void narrow(std::uint64_t wanted, std::uint32_t guess, At&& at, std::uint32_t* low, std::uint32_t* high) {
  const auto probe = [&](std::uint32_t i) {
    const std::uint64_t here = at(i);
    if (here < wanted) *low = i + 1;
    else if (here > wanted) *high = i;
    return here;
  };
  const std::uint64_t here = probe(guess);
  if (here <= wanted && *high > kGuessStep && guess < *high - kGuessStep) probe(guess + kGuessStep);
  if (here >= wanted && guess >= *low + kGuessStep) probe(guess - kGuessStep);
}

/// Too few numbers for narrow() to be worth its probes.
inline constexpr std::uint32_t kNarrowMin = 32;

}  // namespace rustbd::storage
