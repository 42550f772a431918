// How a column of a foreign key is compared with the one that it refers to: PostgreSQL's equality of the
// referenced key's operator family, or of its type after an implicit cast. No conversion loses anything but
// where PostgreSQL's implicit cast does.
#pragma once

#include <optional>

#include "rustbd/types/io.h"
#include "rustbd/types/value.h"

namespace rustbd::engine {

class KeyEquality {
 public:
  /// nullopt: the types can't be compared (42804 when the constraint is made).
  static std::optional<KeyEquality> of(const types::TypeRef& referenced, const types::TypeRef& referencing);

  /// Whether at most one value of the referencing column's type equals each referenced one, so that an index
  /// on the column finds it.
  [[nodiscard]] bool finds_referencing() const { return exact_; }
  /// The value of one side that equals `value` of the other; nullopt: there is none. The second one only if
  /// finds_referencing().
  std::optional<types::Datum> to_referenced(const types::Datum& value, types::IoContext& io) const;
  std::optional<types::Datum> to_referencing(const types::Datum& value, types::IoContext& io) const;

  /// Both sides as values of one type, equal by same(); nullopt: equal to no value of the other side.
  std::optional<types::Datum> referenced(const types::Datum& value, types::IoContext& io) const;
  std::optional<types::Datum> referencing(const types::Datum& value, types::IoContext& io) const;
  [[nodiscard]] bool same(const types::Datum& a, const types::Datum& b) const;

 private:
  KeyEquality(const types::TypeRef& referenced, const types::TypeRef& referencing,
              const types::TypeRef& common, bool exact)
      : referenced_(referenced), referencing_(referencing), common_(common), exact_(exact) {}
  std::optional<types::Datum> to_common(const types::Datum& value, const types::TypeRef& from,
                                        types::IoContext& io) const;
  std::optional<types::Datum> from_common(const types::Datum& value, const types::TypeRef& to,
                                          types::IoContext& io) const;

  types::TypeRef referenced_, referencing_, common_;
  bool exact_;
};

}  // namespace rustbd::engine
