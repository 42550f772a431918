// Access lists in their text form: {grantee=letters[*]/grantor,...}, an empty grantee is PUBLIC. An empty
// list is the default of the kind of object: the owner has everything.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "rustbd/catalog/snapshot.h"

namespace rustbd::catalog {

struct AclItem {
  std::string grantee, grantor;  // role names, unquoted; grantee empty: PUBLIC
  std::string letters;           // r, a, w, ...; '*' stripped
  std::string grantable;         // those with grant option
};
std::vector<AclItem> parse_acl(std::string_view acl);

/// The list of an object with its default filled in. `all`: the owner's letters; `everybody`: PUBLIC's by
/// default.
std::vector<AclItem> effective_acl(const CatalogSnapshot& catalog, std::string_view acl, Oid owner,
                                   std::string_view all, std::string_view everybody);

/// Superusers may all; the owner what the list says of him (by default all).
bool acl_allows(const CatalogSnapshot& catalog, std::string_view acl, Oid owner, Oid role, char letter,
                std::string_view everybody = {});

inline constexpr std::string_view kTableLetters = "arwdDxt", kSequenceLetters = "rwU", kSchemaLetters = "UC";
inline std::string_view letters_of(const Relation& relation) {
  return relation.kind == RelationKind::kSequence ? kSequenceLetters : kTableLetters;
}

}  // namespace rustbd::catalog
