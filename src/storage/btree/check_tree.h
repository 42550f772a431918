// Verification of a tree from its root: levels, chains, fences, child pointers. Blocking; no writer may be
// active.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "rustbd/storage/btree/blink.h"
#include "rustbd/storage/btree/tree_report.h"

namespace rustbd::storage {

/// Facts of a page that the check of a level needs.
template <class OwnedKey>
struct PageSummary {
  const char* problem = nullptr;  // of the page's inside
  bool has_lower = false;         // lower fence is stored (table leaves: their base, which may lie above it)
  OwnedKey lower{}, upper{};
  bool no_upper = false;
  std::uint64_t entries = 0;  // of a leaf
};

/// `summarize(page bytes) -> PageSummary`; `Ops` as for Blink. Goes level by level along right_sibling; a
/// page whose parent lacks its separator is met all the same, and each separator must lead to the page that
/// begins there. A dead leaf's range is its living neighbour's: separators of either may stand in it.
template <class Ops, class Summarize>
class TreeCheck {
 public:
  using OwnedKey = typename Ops::OwnedKey;
  TreeCheck(BufferManager& buffer, std::uint32_t owner, PageId root, Summarize& summarize)
      : buffer_(buffer), owner_(owner), root_(root), summarize_(summarize) {}

  TreeReport run() {
    int level = -1;
    std::vector<Child> children{{root_, {}}};
    do {
      children = check_level(children, &level);
    } while (level-- > 0 && !children.empty());
    return std::move(report_);
  }

 private:
  static constexpr std::size_t kProblemsMax = 100;
  struct Child {
    PageId page;
    OwnedKey lower;
  };

  void problem(PageId page, std::string_view what) {
    if (report_.problems.size() < kProblemsMax)
      report_.problems.push_back(fmt::format("page {}: {}", page.raw(), what));
  }
  static bool less(const OwnedKey& a, const OwnedKey& b) { return a < b; }

  /// The chain of one level from its first page on. `level` < 0: that of the root, which it becomes.
  std::vector<Child> check_level(const std::vector<Child>& expected, int* level) {
    std::vector<Child> below;
    std::size_t next_expected = 0;
    OwnedKey lower{};
    std::vector<Child> met;  // since the last living page
    bool behind_dead = false;
    std::uint64_t pages = 0;
    for (PageId at = expected[0].page; !at.is_none(); ++pages) {
      if (pages > buffer_.next_page_id()) {
        problem(at, "the chain of siblings has a loop");
        return {};
      }
      Fix<SharedGuard> fix = buffer_.fix_shared(at);
      if (!fix) {
        problem(at, "cannot be read");
        met.clear();
        behind_dead = false;
        report_.pages.push_back(at);
        if (next_expected < expected.size() && expected[next_expected].page == at) ++next_expected;
        if (next_expected == expected.size()) return below;
        at = expected[next_expected].page;  // what the parent knows to come next
        lower = expected[next_expected].lower;
        continue;
      }
      const PageHeader header = fix->header();
      if (*level < 0) *level = header.level;
      if (header.owner != owner_ || header.level != *level || header.page_id != at.raw() ||
          header.kind != (*level == 0 ? Ops::kLeafKind : Ops::kInnerKind)) {
        problem(at, "is not a page of this level of the tree");
        return {};
      }
      report_.pages.push_back(at);
      const bool dead = header.level == 0 && (header.flags & kPageDead) != 0;
      if (next_expected < expected.size() && expected[next_expected].page == at) {
        met.push_back(expected[next_expected]);
        ++next_expected;
      }
      const PageSummary<OwnedKey> summary = summarize_(std::as_const(*fix));
      if (summary.problem != nullptr) problem(at, summary.problem);
      if (dead) {
        ++report_.dead_pages;
        behind_dead = true;
      } else {
        check_separators(met, lower, summary, behind_dead);
        met.clear();
        behind_dead = false;
        check_fences(at, summary, lower, header.right_sibling == 0);
        lower = summary.upper;
      }
      if (*level > 0) {
        ++report_.inner_pages;
        add_children(at, fix.guard, header.count, summary, &below);
      } else if (!dead) {
        ++report_.leaf_pages;
        report_.entries += summary.entries;
      }
      at = PageId{header.right_sibling};
    }
    if (behind_dead) problem(report_.pages.back(), "is dead and no leaf took its range");
    if (next_expected != expected.size())
      problem(expected[next_expected].page, "is a child outside the chain of its level");
    return below;
  }

  /// The separators that lead to a living page, or to the dead ones before it.
  void check_separators(const std::vector<Child>& met, const OwnedKey& lower,
                        const PageSummary<OwnedKey>& summary, bool behind_dead) {
    for (const Child& child : met) {
      const bool inside =
          behind_dead && !less(child.lower, lower) && (summary.no_upper || less(child.lower, summary.upper));
      if (child.lower != lower && !inside) problem(child.page, "begins elsewhere than its parent says");
    }
  }

  void check_fences(PageId at, const PageSummary<OwnedKey>& summary, const OwnedKey& lower, bool last) {
    if (summary.has_lower && summary.lower != lower)
      problem(at, "the lower fence is not the left one's upper fence");
    if (!summary.has_lower && less(summary.lower, lower))
      problem(at, "begins below the left one's upper fence");
    if (summary.no_upper != last) problem(at, "only the last page of a level has no upper fence");
    if (!summary.no_upper && !less(lower, summary.upper)) problem(at, "the fences do not ascend");
  }

  void add_children(PageId at, const SharedGuard& guard, std::uint32_t count,
                    const PageSummary<OwnedKey>& summary, std::vector<Child>* below) {
    if (summary.problem != nullptr) return;  // its pointers may be anything
    for (std::uint32_t i = 0; i < count; ++i) {
      Child child{Ops::child(guard.data(), i), Ops::separator(guard.data(), i)};
      if (!below->empty() && !less(below->back().lower, child.lower)) problem(at, "separators do not ascend");
      below->push_back(std::move(child));
    }
  }

  BufferManager& buffer_;
  const std::uint32_t owner_;
  const PageId root_;
  Summarize& summarize_;
  TreeReport report_;
};

template <class Ops, class Summarize>
TreeReport check_tree(BufferManager& buffer, std::uint32_t owner, PageId root, Summarize&& summarize) {
  return TreeCheck<Ops, std::remove_reference_t<Summarize>>(buffer, owner, root, summarize).run();
}

}  // namespace rustbd::storage
