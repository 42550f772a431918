// LIKE and regular expressions, usable outside kernels (planner: prefixes of patterns).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rustbd::functions {

/// LIKE with '\' as escape. Linear in the pattern for one '%', never exponential. 22025 for a trailing escape
/// when it is reached.
bool like(std::string_view text, std::string_view pattern);
/// ILIKE: both folded to lower case.
bool ilike(std::string_view text, std::string_view pattern);
/// The fixed text before the first wildcard of a LIKE pattern; *exact when there is no wildcard at all.
std::string like_prefix(std::string_view pattern, bool* exact);
/// pattern of LIKE ... ESCAPE e rewritten to use '\' (like_escape()). 22025.
std::string like_escape(std::string_view pattern, std::string_view escape);
/// SIMILAR TO pattern as a regular expression.
std::string similar_to_regex(std::string_view pattern, std::string_view escape);

/// A group's bytes in the subject; begin < 0: did not take part.
struct MatchGroup {
  std::int64_t begin = -1, end = -1;
};

/// A compiled POSIX advanced regular expression: RE2 leftmost-longest where it can, PCRE2 with limits where
/// the pattern needs back-references or look-around. Immutable, any thread.
class Regex {
 public:
  virtual ~Regex() = default;
  /// groups[0] is the whole match. `start` is a byte offset; what is before it counts as context for ^ and
  /// \m.
  virtual bool search(std::string_view text, std::size_t start, std::vector<MatchGroup>* groups) const = 0;
  [[nodiscard]] virtual int group_count() const = 0;
};
struct RegexFlags {
  bool ignore_case = false;
  bool newline_sensitive_dot = false;      // p and n: . and [^ ] stop at newlines
  bool newline_sensitive_anchors = false;  // w and n: ^ and $ match at lines
  bool expanded = false;                   // x
  bool literal = false;                    // q
  bool operator==(const RegexFlags&) const = default;
};
/// Compiled once per thread (64 kept). 2201B "invalid regular expression: ...".
std::shared_ptr<const Regex> compile_regex(std::string_view pattern, const RegexFlags& flags);

}  // namespace rustbd::functions
