// The choice among overloaded operators and functions by PostgreSQL's rules (manual, chapter "Type
// Conversion").
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "rustbd/functions/registry.h"

namespace rustbd::binder {

/// A candidate: the argument types that it would be called with (variadic arguments expanded), and what it
/// is.
struct Candidate {
  std::vector<Oid> arguments;
  const void* declaration = nullptr;
  bool is_aggregate = false;
  bool variadic_expanded = false;
  std::uint32_t defaults_used = 0;
};

enum class Choice : std::uint8_t { kFound, kNone, kAmbiguous };

/// How types behave; the binder supplies it, since enums live in the catalog.
struct TypeRules {
  std::function<bool(Oid from, Oid to)> implicitly_castable;
  std::function<char(Oid)> category;
  std::function<bool(Oid)> preferred;
};

/// `actual`: oid::kUnknown for literals and parameters without a type.
Choice choose(std::span<const Oid> actual, std::vector<Candidate>& candidates, const TypeRules& rules,
              Candidate* chosen);

bool is_polymorphic(Oid type);
/// Replaces polymorphic declared types by concrete ones that fit `actual` (kUnknown stays to be coerced).
/// False if they do not agree. `common`: the common type of several, or 0 (for the anycompatible family).
bool resolve_polymorphic(std::span<const Oid> actual, std::vector<Oid>& declared,
                         const std::function<Oid(std::span<const Oid>)>& common);

}  // namespace rustbd::binder
