#include "rustbd/binder/overload.h"

#include <algorithm>

namespace rustbd::binder {

namespace oid = types::oid;

bool is_polymorphic(Oid type) {
  switch (type) {
    case oid::kAnyelement:
    case oid::kAnyarray:
    case oid::kAnynonarray:
    case oid::kAnyenum:
    case oid::kAnyrange:
    case oid::kAnycompatible:
    case oid::kAnycompatiblearray:
    case oid::kAnycompatiblenonarray: return true;
    default: return false;
  }
}

namespace {

bool fits(Oid from, Oid to, const TypeRules& rules) {
  if (from == to || from == oid::kUnknown || to == oid::kAny) return true;
  switch (to) {
    case oid::kAnyelement:
    case oid::kAnycompatible: return true;
    case oid::kAnynonarray:
    case oid::kAnycompatiblenonarray: return types::element_type_of(from) == 0;
    case oid::kAnyarray:
    case oid::kAnycompatiblearray: return types::element_type_of(from) != 0;
    case oid::kAnyenum: return rules.category(from) == 'E';
    default: return rules.implicitly_castable(from, to);
  }
}

/// Whether the actual types can be those of one element type: int[] || int[] is not anycompatiblearray ||
/// anycompatible.
bool consistent(std::span<const Oid> actual, const std::vector<Oid>& declared, const TypeRules& rules) {
  Oid element = 0;
  char category = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == oid::kUnknown || !is_polymorphic(declared[i])) continue;
    const bool array = declared[i] == oid::kAnyarray || declared[i] == oid::kAnycompatiblearray;
    const Oid type = array ? types::element_type_of(actual[i]) : actual[i];
    switch (declared[i]) {
      case oid::kAnyelement:
      case oid::kAnynonarray:
      case oid::kAnyenum:
      case oid::kAnyarray:
        if (element != 0 && element != type) return false;
        element = type;
        break;
      case oid::kAnycompatible:
      case oid::kAnycompatiblenonarray:
      case oid::kAnycompatiblearray:
        if (category != 0 && category != rules.category(type)) return false;
        category = rules.category(type);
        break;
      default: break;
    }
  }
  return true;
}

/// Keeps the candidates with the highest score.
template <class Score>
void keep_best(std::vector<Candidate>& candidates, Score score) {
  int best = -1;
  std::vector<Candidate> kept;
  for (auto& c : candidates) {
    const int s = score(c);
    if (s > best) {
      best = s;
      kept.clear();
    }
    if (s == best) kept.push_back(std::move(c));
  }
  candidates = std::move(kept);
}

/// Rule 4.e of the manual: for unknown arguments, the string category if any candidate takes it, else the
/// common one.
void narrow_unknowns(std::span<const Oid> actual, std::vector<Candidate>& candidates,
                     const TypeRules& rules) {
  std::vector<char> wanted(actual.size(), 0);
  std::vector<bool> preferred(actual.size(), false);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != oid::kUnknown) continue;
    char found = 0;
    bool has_preferred = false, conflict = false;
    for (const auto& c : candidates) {
      const Oid t = c.arguments[i];
      const char category = rules.category(t);
      if (found == 0) {
        found = category;
        has_preferred = rules.preferred(t);
      } else if (category == found) has_preferred = has_preferred || rules.preferred(t);
      else if (category == 'S') {
        found = 'S';
        has_preferred = rules.preferred(t);
        conflict = false;
      } else if (found != 'S') conflict = true;
    }
    if (conflict && found != 'S') return;  // can't resolve
    wanted[i] = found;
    preferred[i] = has_preferred;
  }
  std::vector<Candidate> kept;
  for (const auto& c : candidates) {
    bool keep = true;
    for (std::size_t i = 0; i < actual.size() && keep; ++i) {
      if (actual[i] != oid::kUnknown) continue;
      if (rules.category(c.arguments[i]) != wanted[i]) keep = false;
      else if (preferred[i] && !rules.preferred(c.arguments[i])) keep = false;
    }
    if (keep) kept.push_back(c);
  }
  if (!kept.empty()) candidates = std::move(kept);
}

}  // namespace

Choice choose(std::span<const Oid> actual, std::vector<Candidate>& candidates, const TypeRules& rules,
              Candidate* chosen) {
  const auto done = [&] {
    if (candidates.size() != 1) return false;
    *chosen = candidates.front();
    return true;
  };
  // An exact match, with one unknown operand of two taken as the other's type.
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<Oid> wanted(actual.begin(), actual.end());
    if (pass == 1) {
      if (actual.size() != 2) break;
      if (wanted[0] == oid::kUnknown) wanted[0] = wanted[1];
      else if (wanted[1] == oid::kUnknown) wanted[1] = wanted[0];
      else break;
      if (wanted[0] == oid::kUnknown) break;
    }
    for (const auto& c : candidates)
      if (!c.variadic_expanded && c.arguments == wanted) {
        *chosen = c;
        return Choice::kFound;
      }
  }
  std::erase_if(candidates, [&](const Candidate& c) {
    if (c.arguments.size() != actual.size()) return true;
    for (std::size_t i = 0; i < actual.size(); ++i)
      if (!fits(actual[i], c.arguments[i], rules)) return true;
    return !consistent(actual, c.arguments, rules);
  });
  if (candidates.empty()) return Choice::kNone;
  if (done()) return Choice::kFound;
  keep_best(candidates, [&](const Candidate& c) {
    int n = 0;
    for (std::size_t i = 0; i < actual.size(); ++i)
      n += actual[i] != oid::kUnknown && c.arguments[i] == actual[i];
    return n;
  });
  if (done()) return Choice::kFound;
  keep_best(candidates, [&](const Candidate& c) {
    int n = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      if (actual[i] == oid::kUnknown) continue;
      n += c.arguments[i] == actual[i] ||
           (rules.category(c.arguments[i]) == rules.category(actual[i]) && rules.preferred(c.arguments[i]));
    }
    return n;
  });
  if (done()) return Choice::kFound;
  if (std::find(actual.begin(), actual.end(), oid::kUnknown) != actual.end()) {
    narrow_unknowns(actual, candidates, rules);
    if (done()) return Choice::kFound;
    // If all known arguments have one type, take the unknown ones to have it too.
    Oid known = 0;
    bool one_type = true;
    for (Oid t : actual) {
      if (t == oid::kUnknown) continue;
      if (known != 0 && known != t) one_type = false;
      known = t;
    }
    if (known != 0 && one_type) {
      std::vector<Candidate> kept;
      for (const auto& c : candidates)
        if (std::all_of(c.arguments.begin(), c.arguments.end(), [&](Oid t) { return fits(known, t, rules); }))
          kept.push_back(c);
      if (kept.size() == 1) {
        *chosen = kept.front();
        return Choice::kFound;
      }
    }
  }
  // Functions that differ only in being expanded from VARIADIC or in defaults: prefer the plain one.
  keep_best(candidates, [](const Candidate& c) {
    return (c.variadic_expanded ? 0 : 2) + (c.defaults_used == 0 ? 1 : 0);
  });
  if (done()) return Choice::kFound;
  return Choice::kAmbiguous;
}

bool resolve_polymorphic(std::span<const Oid> actual, std::vector<Oid>& declared,
                         const std::function<Oid(std::span<const Oid>)>& common) {
  Oid element = 0, compatible = 0;
  std::vector<Oid> compatibles;
  for (std::size_t i = 0; i < declared.size() && i < actual.size(); ++i) {
    if (actual[i] == oid::kUnknown) continue;
    Oid candidate = 0;
    switch (declared[i]) {
      case oid::kAnyelement:
      case oid::kAnynonarray:
      case oid::kAnyenum: candidate = actual[i]; break;
      case oid::kAnyarray: candidate = types::element_type_of(actual[i]); break;
      case oid::kAnycompatible:
      case oid::kAnycompatiblenonarray: compatibles.push_back(actual[i]); continue;
      case oid::kAnycompatiblearray: compatibles.push_back(types::element_type_of(actual[i])); continue;
      default: continue;
    }
    if (candidate == 0 || (element != 0 && element != candidate)) return false;
    element = candidate;
  }
  if (!compatibles.empty()) {
    compatible = common(compatibles);
    if (compatible == 0) return false;
  }
  for (auto& d : declared) {
    if (!is_polymorphic(d)) continue;
    const bool family =
        d == oid::kAnycompatible || d == oid::kAnycompatiblearray || d == oid::kAnycompatiblenonarray;
    Oid base = family ? compatible : element;
    if (base == 0) base = oid::kText;  // all unknown: text, as PostgreSQL's anycompatible does
    const bool array = d == oid::kAnyarray || d == oid::kAnycompatiblearray;
    d = array ? types::array_type_of(base) : base;
    if (d == 0) return false;
  }
  return true;
}

}  // namespace rustbd::binder
