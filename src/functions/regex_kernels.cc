// ~ and its kin, regexp_* functions, SIMILAR TO.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/pattern.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/array.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using Args = const Datum*;

template <bool kIgnoreCase, bool kNegated>
void matches(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  RegexFlags flags;
  flags.ignore_case = kIgnoreCase;
  out = Datum::of(compile_regex(text_of(a[1]), flags)->search(text_of(a[0]), 0, nullptr) != kNegated);
}

struct Options {
  RegexFlags flags;
  bool global = false;
};
Options parse_options(std::string_view text) {
  Options o;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case 'g': o.global = true; break;
      case 'b':
      case 'e':
      case 't': break;
      case 'q': o.flags.literal = true; break;
      case 'i': o.flags.ignore_case = true; break;
      case 'c': o.flags.ignore_case = false; break;
      case 'm':
      case 'n': o.flags.newline_sensitive_dot = o.flags.newline_sensitive_anchors = true; break;
      case 'p':
        o.flags.newline_sensitive_dot = true;
        o.flags.newline_sensitive_anchors = false;
        break;
      case 's': o.flags.newline_sensitive_dot = o.flags.newline_sensitive_anchors = false; break;
      case 'w':
        o.flags.newline_sensitive_dot = false;
        o.flags.newline_sensitive_anchors = true;
        break;
      case 'x': o.flags.expanded = true; break;
      default:
        throw error(sqlstate::kInvalidParameterValue, "invalid regular expression option: \"{}\"",
                    text.substr(i, char_bytes(text[i])));
    }
  }
  return o;
}
void refuse_global(const Options& o, std::string_view function, std::string_view hint = {}) {
  if (!o.global) return;
  Error e = error(sqlstate::kInvalidParameterValue, "{} does not support the \"global\" option", function);
  if (!hint.empty()) throw std::move(e).with_hint(std::string{hint});
  throw e;
}
void check_positive(std::int32_t value, std::string_view name) {
  if (value <= 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"{}\": {}", name, value);
}

using Groups = std::vector<MatchGroup>;
std::string_view part(std::string_view text, const MatchGroup& g) {
  return text.substr(static_cast<std::size_t>(g.begin), static_cast<std::size_t>(g.end - g.begin));
}
/// Calls body(groups) for each match from byte `start` on until it returns false. After an empty match one
/// character on.
template <class Body>
void for_each_match(const Regex& regex, std::string_view text, std::size_t start, Body&& body) {
  Groups groups;
  while (start <= text.size() && regex.search(text, start, &groups)) {
    if (!body(groups)) return;
    const auto end = static_cast<std::size_t>(groups[0].end);
    if (groups[0].end > groups[0].begin) start = end;
    else start = end < text.size() ? end + char_bytes(text[end]) : end + 1;
  }
}

void append_replacement(std::string_view text, std::string_view replacement, const Groups& groups,
                        std::string& out) {
  for (std::size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '\\' || i + 1 == replacement.size()) {
      out += replacement[i];
      continue;
    }
    const char c = replacement[++i];
    if (c == '\\') {
      out += '\\';
      continue;
    }
    std::size_t group = SIZE_MAX;
    if (c == '&') group = 0;
    else if (c >= '1' && c <= '9') group = static_cast<std::size_t>(c - '0');
    else {
      out += '\\';
      out += c;
      continue;
    }
    if (group < groups.size() && groups[group].begin >= 0) out += part(text, groups[group]);
  }
}
/// n: which match is replaced, 0: all from `start` (1-based character).
Datum replace(EvalContext& c, Args a, const Options& o, std::int32_t start, std::int32_t n) {
  const std::string_view text = text_of(a[0]);
  const auto regex = compile_regex(text_of(a[1]), o.flags);
  std::string out;
  std::size_t done = 0;
  std::int32_t count = 0;
  for_each_match(*regex, text, char_offset(text, start - 1), [&](const Groups& g) {
    if (n > 0 && ++count < n) return true;
    out += text.substr(done, static_cast<std::size_t>(g[0].begin) - done);
    append_replacement(text, text_of(a[2]), g, out);
    done = static_cast<std::size_t>(g[0].end);
    return n == 0;
  });
  out += text.substr(done);
  return text_result(c, out);
}
void regexp_replace(EvalContext& c, Args a, const bool*, Datum& out, bool*) { out = replace(c, a, {}, 1, 1); }
void regexp_replace_flags(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view flags = text_of(a[3]);
  if (!flags.empty() && flags[0] >= '0' && flags[0] <= '9')
    throw error(sqlstate::kInvalidParameterValue, "invalid regular expression option: \"{}\"",
                flags.substr(0, 1))
        .with_hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to "
            "integer explicitly.");
  const Options o = parse_options(flags);
  out = replace(c, a, o, 1, o.global ? 0 : 1);
}
void regexp_replace_from(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::size_t n = c.argument_types.size();
  const Options o = n > 5 ? parse_options(text_of(a[5])) : Options{};
  check_positive(a[3].i32, "start");
  std::int32_t nth = n > 4 ? a[4].i32 : 1;
  if (n > 4 && nth < 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"n\": {}", nth);
  out = replace(c, a, o, a[3].i32, nth);
}

Datum groups_array(EvalContext& c, std::string_view text, const Groups& groups) {
  types::ArrayBuilder builder{oid::kText};
  for (std::size_t i = groups.size() > 1 ? 1 : 0; i < groups.size(); ++i) {
    if (groups[i].begin < 0) builder.add_null();
    else builder.add(text_part(part(text, groups[i])));
  }
  return Datum::of(builder.finish(*c.arena));
}
void regexp_match(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  const Options o = c.argument_types.size() > 2 ? parse_options(text_of(a[2])) : Options{};
  refuse_global(o, "regexp_match()", "Use the regexp_matches function instead.");
  Groups groups;
  *is_null = !compile_regex(text_of(a[1]), o.flags)->search(text_of(a[0]), 0, &groups);
  if (!*is_null) out = groups_array(c, text_of(a[0]), groups);
}
void regex_substring(EvalContext&, Args a, const bool*, Datum& out, bool* is_null) {
  Groups groups;
  *is_null = !compile_regex(text_of(a[1]), {})->search(text_of(a[0]), 0, &groups);
  if (*is_null) return;
  const MatchGroup& g = groups[groups.size() > 1 ? 1 : 0];
  *is_null = g.begin < 0;
  if (!*is_null) out = text_part(part(text_of(a[0]), g));
}
void similar_substring(EvalContext&, Args a, const bool*, Datum& out, bool* is_null) {
  Groups groups;
  *is_null =
      !compile_regex(similar_to_regex(text_of(a[1]), text_of(a[2])), {})->search(text_of(a[0]), 0, &groups);
  if (!*is_null) {
    *is_null = groups[groups.size() > 1 ? 1 : 0].begin < 0;
    if (!*is_null) out = text_part(part(text_of(a[0]), groups[groups.size() > 1 ? 1 : 0]));
  }
}
void similar_escape1(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, similar_to_regex(text_of(a[0]), "\\"));
}
void similar_escape2(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, similar_to_regex(text_of(a[0]), text_of(a[1])));
}

/// The parts between matches; empty matches at the start and the end of the text, and right after a match, do
/// not split.
std::vector<std::string_view> split(std::string_view text, const Regex& regex) {
  std::vector<std::string_view> parts;
  std::size_t done = 0;
  for_each_match(regex, text, 0, [&](const Groups& g) {
    const auto begin = static_cast<std::size_t>(g[0].begin), end = static_cast<std::size_t>(g[0].end);
    if (begin == end && (begin >= text.size() || begin <= done)) return true;
    parts.push_back(text.substr(done, begin - done));
    done = end;
    return true;
  });
  parts.push_back(text.substr(done));
  return parts;
}
std::vector<std::string_view> split_arguments(EvalContext& c, Args a, std::string_view function) {
  const Options o = c.argument_types.size() > 2 ? parse_options(text_of(a[2])) : Options{};
  refuse_global(o, function);
  return split(text_of(a[0]), *compile_regex(text_of(a[1]), o.flags));
}
void split_to_array(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  types::ArrayBuilder builder{oid::kText};
  for (const auto part : split_arguments(c, a, "regexp_split_to_array()")) builder.add(text_part(part));
  out = Datum::of(builder.finish(*c.arena));
}

/// Rows of one column computed at once and given out by chunks.
struct Rows {
  std::vector<Datum> values;
  std::size_t next = 0;
};
std::uint32_t next_rows(EvalContext&, void* state, types::ChunkBuffer& out) {
  auto& rows = *static_cast<Rows*>(state);
  out.begin();
  std::uint32_t n = 0;
  while (rows.next < rows.values.size() && n < types::kVectorSize)
    out.put(0, n++, rows.values[rows.next++], false);
  out.chunk().select_all(n);
  return n;
}
void* start_split(EvalContext& c, Args a, const bool*) {
  auto* rows = c.arena->own<Rows>();
  const Datum text = types::copy_datum(a[0], types::Phys::kStr, *c.arena);
  const Options o = c.argument_types.size() > 2 ? parse_options(text_of(a[2])) : Options{};
  refuse_global(o, "regexp_split_to_table()");
  const auto regex = compile_regex(text_of(a[1]), o.flags);
  const std::string_view kept = c.arena->copy(text_of(text));
  for (const auto part : split(kept, *regex)) rows->values.push_back(text_part(part));
  return rows;
}
void* start_matches(EvalContext& c, Args a, const bool*) {
  auto* rows = c.arena->own<Rows>();
  const Options o = c.argument_types.size() > 2 ? parse_options(text_of(a[2])) : Options{};
  const std::string_view text = text_of(a[0]);
  for_each_match(*compile_regex(text_of(a[1]), o.flags), text, 0, [&](const Groups& g) {
    rows->values.push_back(groups_array(c, text, g));
    return o.global;
  });
  return rows;
}

void count(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::size_t n = c.argument_types.size();
  const Options o = n > 3 ? parse_options(text_of(a[3])) : Options{};
  const std::int32_t start = n > 2 ? a[2].i32 : 1;
  check_positive(start, "start");
  refuse_global(o, "regexp_count()");
  std::int32_t found = 0;
  const std::string_view text = text_of(a[0]);
  if (start <= count_chars(text) + 1)
    for_each_match(*compile_regex(text_of(a[1]), o.flags), text, char_offset(text, start - 1),
                   [&](const Groups&) {
                     ++found;
                     return true;
                   });
  out = Datum::of(found);
}
void like_of(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const Options o = c.argument_types.size() > 2 ? parse_options(text_of(a[2])) : Options{};
  refuse_global(o, "regexp_like()");
  out = Datum::of(compile_regex(text_of(a[1]), o.flags)->search(text_of(a[0]), 0, nullptr));
}
/// The group `group` of the n-th match from `start`; begin < 0 when there is none.
MatchGroup nth_match(std::string_view text, const Regex& regex, std::int32_t start, std::int32_t n,
                     std::int32_t group) {
  MatchGroup result;
  if (group > regex.group_count() || start > count_chars(text) + 1) return result;
  std::int32_t seen = 0;
  for_each_match(regex, text, char_offset(text, start - 1), [&](const Groups& g) {
    if (++seen < n) return true;
    result = g[static_cast<std::size_t>(group)];
    return false;
  });
  return result;
}
void instr(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::size_t n = c.argument_types.size();
  const std::int32_t start = n > 2 ? a[2].i32 : 1, nth = n > 3 ? a[3].i32 : 1, end = n > 4 ? a[4].i32 : 0,
                     group = n > 6 ? a[6].i32 : 0;
  const Options o = n > 5 ? parse_options(text_of(a[5])) : Options{};
  check_positive(start, "start");
  check_positive(nth, "n");
  if (end != 0 && end != 1)
    throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"endoption\": {}", end);
  if (group < 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"subexpr\": {}", group);
  refuse_global(o, "regexp_instr()");
  const std::string_view text = text_of(a[0]);
  const MatchGroup g = nth_match(text, *compile_regex(text_of(a[1]), o.flags), start, nth, group);
  out = Datum::of(
      g.begin < 0 ? std::int32_t{0}
                  : count_chars(text.substr(0, static_cast<std::size_t>(end == 1 ? g.end : g.begin))) + 1);
}
void substr(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  const std::size_t n = c.argument_types.size();
  const std::int32_t start = n > 2 ? a[2].i32 : 1, nth = n > 3 ? a[3].i32 : 1, group = n > 5 ? a[5].i32 : 0;
  const Options o = n > 4 ? parse_options(text_of(a[4])) : Options{};
  check_positive(start, "start");
  check_positive(nth, "n");
  if (group < 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"subexpr\": {}", group);
  refuse_global(o, "regexp_substr()");
  const MatchGroup g = nth_match(text_of(a[0]), *compile_regex(text_of(a[1]), o.flags), start, nth, group);
  *is_null = g.begin < 0;
  if (!*is_null) out = text_part(part(text_of(a[0]), g));
}

}  // namespace

void register_regex_kernels(KernelTable& t) {
  for (const std::string_view name : {"textregexeq", "nameregexeq"}) t.scalar(name, &matches<false, false>);
  for (const std::string_view name : {"textregexne", "nameregexne"}) t.scalar(name, &matches<false, true>);
  for (const std::string_view name : {"texticregexeq", "nameicregexeq"})
    t.scalar(name, &matches<true, false>);
  for (const std::string_view name : {"texticregexne", "nameicregexne"}) t.scalar(name, &matches<true, true>);
  t.scalar("textregexsubstr", &regex_substring);
  t.scalar("substring_2074", &similar_substring);
  t.scalar("similar_to_escape_1", &similar_escape1);
  t.scalar("similar_to_escape_2", &similar_escape2);
  t.scalar("textregexreplace_noopt", &regexp_replace);
  t.scalar("textregexreplace", &regexp_replace_flags);
  for (const std::string_view name :
       {"textregexreplace_extended", "textregexreplace_extended_no_flags", "textregexreplace_extended_no_n"})
    t.scalar(name, &regexp_replace_from);
  for (const std::string_view name : {"regexp_match", "regexp_match_no_flags"}) t.scalar(name, &regexp_match);
  for (const std::string_view name : {"regexp_matches", "regexp_matches_no_flags"})
    t.set(name, {&start_matches, &next_rows});
  for (const std::string_view name : {"regexp_split_to_table", "regexp_split_to_table_no_flags"})
    t.set(name, {&start_split, &next_rows});
  for (const std::string_view name : {"regexp_split_to_array", "regexp_split_to_array_no_flags"})
    t.scalar(name, &split_to_array);
  for (const std::string_view name : {"regexp_count", "regexp_count_no_start", "regexp_count_no_flags"})
    t.scalar(name, &count);
  for (const std::string_view name : {"regexp_like", "regexp_like_no_flags"}) t.scalar(name, &like_of);
  for (const std::string_view name :
       {"regexp_instr", "regexp_instr_no_start", "regexp_instr_no_n", "regexp_instr_no_endoption",
        "regexp_instr_no_flags", "regexp_instr_no_subexpr"})
    t.scalar(name, &instr);
  for (const std::string_view name : {"regexp_substr", "regexp_substr_no_start", "regexp_substr_no_n",
                                      "regexp_substr_no_flags", "regexp_substr_no_subexpr"})
    t.scalar(name, &substr);
}

}  // namespace rustbd::functions
