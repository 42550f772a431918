// A set of ColumnIds as bits. Planning asks "which columns" all the time.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "rustbd/plan/columns.h"

namespace rustbd::optimizer {

using plan::ColumnId;

class ColumnSet {
 public:
  ColumnSet() = default;
  ColumnSet(std::initializer_list<ColumnId> ids) { add(ids.begin(), ids.end()); }
  explicit ColumnSet(const std::vector<ColumnId>& ids) { add(ids.begin(), ids.end()); }
  void add(ColumnId id) {
    const auto word = id / 64;
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] |= std::uint64_t{1} << (id % 64);
  }
  void add(const ColumnSet& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void add(const std::vector<ColumnId>& ids) { add(ids.begin(), ids.end()); }
  void remove(ColumnId id) {
    if (id / 64 < words_.size()) words_[id / 64] &= ~(std::uint64_t{1} << (id % 64));
  }
  void remove(const ColumnSet& other) {
    for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i) words_[i] &= ~other.words_[i];
  }
  [[nodiscard]] bool contains(ColumnId id) const {
    return id / 64 < words_.size() && (words_[id / 64] >> (id % 64) & 1) != 0;
  }
  [[nodiscard]] bool contains_all(const ColumnSet& other) const {
    for (std::size_t i = 0; i < other.words_.size(); ++i)
      if ((other.words_[i] & ~(i < words_.size() ? words_[i] : 0)) != 0) return false;
    return true;
  }
  [[nodiscard]] bool intersects(const ColumnSet& other) const {
    for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
      if ((words_[i] & other.words_[i]) != 0) return true;
    return false;
  }
  [[nodiscard]] bool empty() const {
    for (const auto w : words_)
      if (w != 0) return false;
    return true;
  }
  /// Ascending.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      for (auto w = words_[i]; w != 0; w &= w - 1)
        fn(static_cast<ColumnId>(i * 64 + static_cast<std::size_t>(std::countr_zero(w))));
  }

 private:
  template <class It>
  void add(It first, It last) {
    for (; first != last; ++first) add(*first);
  }
  std::vector<std::uint64_t> words_;
};

inline ColumnSet common(ColumnSet a, const ColumnSet& b) {
  ColumnSet others = a;
  others.remove(b);
  a.remove(others);
  return a;
}

/// The set and nothing twice: `out` gets the columns of `from` that are in `wanted`, in their order.
inline std::vector<ColumnId> select_columns(const std::vector<ColumnId>& from, const ColumnSet& wanted) {
  std::vector<ColumnId> out;
  ColumnSet seen;
  for (const auto id : from) {
    if (!wanted.contains(id) || seen.contains(id)) continue;
    seen.add(id);
    out.push_back(id);
  }
  return out;
}

}  // namespace rustbd::optimizer
