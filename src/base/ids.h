// Strong ids: two numbers that mean different things are two types, and mixing them up does not compile.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace rustbd {

/// A number that only identifies. 0 means "none". No arithmetic: the one meaningful step is a named function.
template <class Tag, class Raw = std::uint64_t>
class StrongId {
 public:
  using raw_type = Raw;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Raw raw) : raw_(raw) {}
  [[nodiscard]] constexpr Raw raw() const { return raw_; }
  [[nodiscard]] constexpr bool is_none() const { return raw_ == 0; }
  constexpr auto operator<=>(const StrongId&) const = default;

 private:
  Raw raw_ = 0;
};

using PageId = StrongId<struct PageTag>;  // index into the page directory; never 0
using RowId = StrongId<struct RowTag>;    // of one table; never reused, never 0
using Lsn = StrongId<struct LsnTag>;      // byte position in the endless log
using TransactionId = StrongId<struct TransactionTag>;
using CommitTimestamp = StrongId<struct CommitTag>;  // dense number in commit order; not a time of day
using TableId =
    StrongId<struct TableTag, std::uint32_t>;  // one tree of rows; new after TRUNCATE or a rewrite
using IndexId = StrongId<struct IndexTag, std::uint32_t>;  // one index tree
using Oid = std::uint32_t;        // names an SQL object, as PostgreSQL's oid; a plain number in SQL
using CommandId = std::uint32_t;  // statement number inside a transaction

/// `A/1B2C`, as PostgreSQL writes a pg_lsn.
std::string to_text(Lsn lsn);

constexpr Lsn end_of(Lsn start, std::uint64_t bytes) { return Lsn{start.raw() + bytes}; }

}  // namespace rustbd

template <class Tag, class Raw>
struct std::hash<rustbd::StrongId<Tag, Raw>> {
  std::size_t operator()(const rustbd::StrongId<Tag, Raw>& id) const noexcept {
    return static_cast<std::size_t>(id.raw() * 0x9E3779B97F4A7C15ull);
  }
};
