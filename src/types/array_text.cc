// Text and binary forms of arrays and of int2vector, oidvector.
#include <charconv>

#include "rustbd/types/array.h"
#include "rustbd/types/text_scan.h"
#include "rustbd/types/wire_bytes.h"

namespace rustbd::types {

namespace {
bool is_vector(Oid oid) { return oid == oid::kInt2Vector || oid == oid::kOidVector; }

/// Elements of a numeric array are kNumeric whatever the modifier.
TypeRef element_ref(const TypeRef& array) {
  TypeRef element = make_type(element_type_of(array.oid), array.typmod);
  if (element.oid == oid::kNumeric)
    element = {oid::kNumeric, array.typmod, Phys::kNumeric, 0, element.collation};
  return element;
}

[[noreturn]] void too_many_dimensions(int n) {
  throw error(sqlstate::kProgramLimitExceeded,
              "number of array dimensions ({}) exceeds the maximum allowed ({})", n, kMaxDimensions);
}

class Parser {
 public:
  Parser(std::string_view text, const TypeRef& type, IoContext& context)
      : text_(text), element_(element_ref(type)), context_(context), builder_(element_.oid) {}

  Str parse() {
    std::vector<Dimension> stated = parse_dimensions();
    if (!stated.empty() && peek() != '{') fail("Array contents must start with \"{\".");
    if (stated.empty() && peek() != '{') fail("Array value must start with \"{\" or dimension information.");
    parse_level(0);
    skip_blanks();
    if (at_ != text_.size()) fail("Junk after closing right brace.");
    if (builder_.size() == 0) {
      if (!stated.empty()) fail("Specified array dimensions do not match array contents.");
      return builder_.finish({}, *context_.arena);
    }
    std::vector<Dimension> dims;
    for (int i = 0; i < depth_; ++i) dims.push_back({lengths_[i], 1});
    if (!stated.empty()) {
      bool same = stated.size() == dims.size();
      for (std::size_t i = 0; same && i < dims.size(); ++i) same = stated[i].length == dims[i].length;
      if (!same) fail("Specified array dimensions do not match array contents.");
      dims = stated;
    }
    return builder_.finish(dims, *context_.arena);
  }

 private:
  [[noreturn]] void fail(std::string detail) const {
    throw error(sqlstate::kInvalidTextRepresentation, "malformed array literal: \"{}\"", text_)
        .with_detail(std::move(detail));
  }
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::int32_t parse_bound() {
    if (peek() == '+') ++at_;
    std::int32_t v = 0;
    const auto made = std::from_chars(text_.data() + at_, text_.data() + text_.size(), v);
    if (made.ec == std::errc::result_out_of_range)
      throw error(sqlstate::kNumericValueOutOfRange, "array bound is out of integer range");
    if (made.ec != std::errc{}) fail("\"[\" must introduce explicitly-specified array dimensions.");
    at_ = static_cast<std::size_t>(made.ptr - text_.data());
    return v;
  }

  std::vector<Dimension> parse_dimensions() {
    std::vector<Dimension> dims;
    for (skip_blanks(); peek() == '['; skip_blanks()) {
      if (dims.size() >= kMaxDimensions) too_many_dimensions(static_cast<int>(dims.size()) + 1);
      ++at_;
      std::int32_t lower = 1, upper = parse_bound();
      if (peek() == ':') {
        ++at_;
        lower = upper;
        upper = parse_bound();
      }
      if (peek() != ']') fail("Missing \"]\" after array dimensions.");
      ++at_;
      if (upper < lower)
        throw error(sqlstate::kArraySubscriptError, "upper bound cannot be less than lower bound");
      const std::int64_t length = std::int64_t{upper} - lower + 1;
      if (length > kMaxArrayElements)
        throw error(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                    kMaxArrayElements);
      dims.push_back({static_cast<std::int32_t>(length), lower});
    }
    if (dims.empty()) return dims;
    if (peek() != '=') fail("Missing \"=\" after array dimensions.");
    ++at_;
    skip_blanks();
    return dims;
  }

  /// At '{': reads to its '}'. Depth is at most 6, so recursion is bounded.
  void parse_level(int level) {
    if (level >= kMaxDimensions) too_many_dimensions(level + 1);
    ++at_;
    std::int32_t count = 0;
    skip_blanks();
    if (peek() == '}') {
      ++at_;
      note_length(level, 0);
      return;
    }
    for (;; ++at_) {
      skip_blanks();
      if (peek() == '{') {
        if (depth_ != 0 && level + 1 >= depth_) fail("Unexpected \"{\" character.");
        parse_level(level + 1);
      } else {
        if (depth_ == 0) depth_ = level + 1;
        if (level + 1 != depth_) mismatch();
        parse_element();
      }
      ++count;
      skip_blanks();
      if (at_ >= text_.size()) fail("Unexpected end of input.");
      if (peek() == '}') break;
      if (peek() != ',') fail("Unexpected array element.");
    }
    ++at_;
    note_length(level, count);
  }
  [[noreturn]] void mismatch() const {
    fail("Multidimensional arrays must have sub-arrays with matching dimensions.");
  }
  void note_length(int level, std::int32_t count) {
    if (lengths_[level] >= 0 && lengths_[level] != count) mismatch();
    lengths_[level] = count;
  }

  void parse_element() {
    std::string value;
    if (peek() == '"') {
      parse_quoted(&value);
    } else if (parse_bare(&value)) {
      builder_.add_null();
      return;
    }
    builder_.add(input_text(value, element_, context_));
  }
  void parse_quoted(std::string* value) {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && ++at_ >= text_.size()) break;
      *value += text_[at_];
    }
    if (at_ >= text_.size()) fail("Unexpected end of input.");
    ++at_;
  }
  /// True when the element is NULL.
  bool parse_bare(std::string* value) {
    std::size_t kept = 0;  // trailing blanks go, unless escaped
    bool escaped = false;
    for (; at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}'; ++at_) {
      if (text_[at_] == '"') fail("Unexpected array element.");
      if (text_[at_] == '{') fail("Unexpected \"{\" character.");
      const bool escape = text_[at_] == '\\';
      if (escape && ++at_ >= text_.size()) fail("Unexpected end of input.");
      *value += text_[at_];
      escaped |= escape;
      if (escape || !is_blank(text_[at_])) kept = value->size();
    }
    if (at_ >= text_.size()) fail("Unexpected end of input.");
    value->resize(kept);
    if (value->empty()) fail(fmt::format("Unexpected \"{}\" character.", text_[at_]));
    return !escaped && equal_ignoring_case(*value, "null");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  TypeRef element_;
  IoContext& context_;
  ArrayBuilder builder_;
  int depth_ = 0;  // dimensions, known at the first element
  std::int32_t lengths_[kMaxDimensions] = {-1, -1, -1, -1, -1, -1};
};

Str parse_vector(std::string_view text, const TypeRef& type, IoContext& context) {
  const bool small = type.oid == oid::kInt2Vector;
  std::vector<std::int16_t> numbers;
  std::vector<Oid> oids;
  for (std::size_t at = 0; at < text.size();) {
    if (is_blank(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && !is_blank(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    if (small) numbers.push_back(static_cast<std::int16_t>(parse_integer(word, 2)));
    else oids.push_back(parse_oid(word));
    at = end;
  }
  return small ? make_int2vector(numbers, *context.arena) : make_oidvector(oids, *context.arena);
}

void append_vector(const Str& array, std::string& out) {
  const ArrayView view{array};
  Arena arena{64};
  for (ArrayView::Cursor c{view, arena}; c.next();) {
    if (c.index() != 0) out += ' ';
    append_integer(view.element_phys() == Phys::kI16 ? c.value().i16 : std::int64_t{c.value().u32}, out);
  }
}

bool needs_quotes(std::string_view text) {
  if (text.empty() || equal_ignoring_case(text, "null")) return true;
  for (const char c : text)
    if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || is_blank(c)) return true;
  return false;
}
void append_quoted(std::string_view text, std::string& out) {
  if (!needs_quotes(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}
}  // namespace

Str parse_array(std::string_view text, const TypeRef& type, IoContext& context) {
  return is_vector(type.oid) ? parse_vector(text, type, context) : Parser{text, type, context}.parse();
}

void append_array(const Str& array, const TypeRef& type, IoContext& context, std::string& out) {
  if (is_vector(type.oid)) return append_vector(array, out);
  const ArrayView view{array};
  if (view.size() == 0) {
    out += "{}";
    return;
  }
  const auto dims = view.dimensions();
  bool lower_bounds = false;
  for (const Dimension& d : dims) lower_bounds |= d.lower != 1;
  if (lower_bounds) {
    for (const Dimension& d : dims)
      fmt::format_to(std::back_inserter(out), "[{}:{}]", d.lower, std::int64_t{d.lower} + d.length - 1);
    out += '=';
  }
  TypeRef element = element_ref(type);
  if (element.oid != view.element_type()) {
    element = make_type(view.element_type());
    element.phys = view.element_phys();
  }
  // Row-major odometer: how many brackets open and close before element i.
  Arena arena;
  std::string text;
  for (ArrayView::Cursor c{view, arena}; c.next();) {
    std::uint64_t stride = 1;
    int edges = 0;
    for (std::size_t d = dims.size(); d-- > 0;) {
      stride *= static_cast<std::uint64_t>(dims[d].length);
      if (c.index() % stride != 0) break;
      ++edges;
    }
    if (c.index() != 0) {
      out.append(static_cast<std::size_t>(edges), '}');
      out += ',';
    }
    out.append(static_cast<std::size_t>(edges), '{');
    if (c.is_null()) {
      out += "NULL";
      continue;
    }
    text.clear();
    output_text(c.value(), element, context, text);
    append_quoted(text, out);
  }
  out.append(dims.size(), '}');
}

void send_array(const Str& array, const TypeRef& type, IoContext& context, std::string& out) {
  const ArrayView view{array};
  TypeRef element = make_type(view.element_type());
  element.phys = view.element_phys();
  put_wire(static_cast<std::uint32_t>(view.ndim()), out);
  put_wire<std::uint32_t>(view.has_nulls() ? 1 : 0, out);
  put_wire(is_vector(type.oid) ? element_type_of(type.oid) : view.element_type(), out);
  for (const Dimension& d : view.dimensions()) {
    put_wire(static_cast<std::uint32_t>(d.length), out);
    put_wire(static_cast<std::uint32_t>(d.lower), out);
  }
  Arena arena;
  for (ArrayView::Cursor c{view, arena}; c.next();) {
    const std::size_t at = out.size();
    put_wire<std::uint32_t>(c.is_null() ? 0xFFFFFFFF : 0, out);
    if (c.is_null()) continue;
    output_binary(c.value(), element, context, out);
    std::string length;
    put_wire(static_cast<std::uint32_t>(out.size() - at - 4), length);
    out.replace(at, 4, length);
  }
}

Str receive_array(ByteSpan bytes, const TypeRef& type, IoContext& context) {
  WireReader in{as_chars(bytes)};
  const auto ndim = static_cast<std::int32_t>(in.get<std::uint32_t>());
  const auto flags = in.get<std::uint32_t>();
  const auto element_oid = in.get<std::uint32_t>();
  if (ndim < 0) throw error(sqlstate::kInvalidBinaryRepresentation, "invalid number of dimensions: {}", ndim);
  if (ndim > kMaxDimensions) too_many_dimensions(ndim);
  if (flags > 1) throw error(sqlstate::kInvalidBinaryRepresentation, "invalid array flags");
  TypeRef element = element_ref(type);
  if (element_oid != element.oid)
    throw error(sqlstate::kDatatypeMismatch,
                "binary data has array element type {} ({}) instead of expected {} ({})", element_oid,
                format_type(element_oid), element.oid, format_type(element.oid));
  std::vector<Dimension> dims;
  std::uint64_t size = ndim == 0 ? 0 : 1;
  for (int i = 0; i < ndim; ++i) {
    const auto length = static_cast<std::int32_t>(in.get<std::uint32_t>());
    const auto lower = static_cast<std::int32_t>(in.get<std::uint32_t>());
    if (length < 0) throw error(sqlstate::kInvalidBinaryRepresentation, "invalid array length");
    size *= static_cast<std::uint64_t>(length);
    if (size > kMaxArrayElements)
      throw error(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                  kMaxArrayElements);
    dims.push_back({length, lower});
  }
  ArrayBuilder builder{element.oid};
  for (std::uint64_t i = 0; i < size; ++i) {
    const auto length = static_cast<std::int32_t>(in.get<std::uint32_t>());
    if (length < -1)
      throw error(sqlstate::kInvalidBinaryRepresentation, "improper binary format in array element {}",
                  i + 1);
    if (length == -1) builder.add_null();
    else builder.add(input_binary(as_bytes(in.take(static_cast<std::size_t>(length))), element, context));
  }
  if (!in.at_end()) throw error(sqlstate::kInvalidBinaryRepresentation, "incorrect binary data format");
  return builder.finish(dims, *context.arena);
}

}  // namespace rustbd::types
