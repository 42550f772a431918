#include "rustbd/types/array.h"

#include "rustbd/base/assert.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/compare.h"

namespace rustbd::types {

namespace {
constexpr std::size_t kHeaderBytes = 8, kDimensionBytes = 8;

Phys element_phys_of(Oid element) { return make_type(element).phys; }
[[noreturn]] void malformed() { throw error(sqlstate::kDataCorrupted, "malformed array value"); }
}  // namespace

ArrayView::ArrayView(std::string_view payload) {
  if (payload.size() < kHeaderBytes) malformed();
  const char* p = payload.data();
  end_ = p + payload.size();
  ndim_ = load<std::uint8_t>(p);
  const bool nulls = (load<std::uint8_t>(p + 1) & 1) != 0;
  element_ = load<Oid>(p + 4);
  phys_ = element_phys_of(element_);
  p += kHeaderBytes;
  if (ndim_ > kMaxDimensions ||
      payload.size() < kHeaderBytes + kDimensionBytes * static_cast<std::size_t>(ndim_))
    malformed();
  std::uint64_t size = ndim_ == 0 ? 0 : 1;
  for (int i = 0; i < ndim_; ++i, p += kDimensionBytes) {
    dims_[i] = {load<std::int32_t>(p), load<std::int32_t>(p + 4)};
    if (dims_[i].length < 0) malformed();
    size *= static_cast<std::uint64_t>(dims_[i].length);
    if (size > kMaxArrayElements) malformed();
  }
  size_ = static_cast<std::uint32_t>(size);
  if (nulls) {
    nulls_ = p;
    if (static_cast<std::size_t>(end_ - p) < (size_ + 7) / 8) malformed();
    p += (size_ + 7) / 8;
  }
  elements_ = p;
}

bool ArrayView::Cursor::next() {
  if (index_ == view_.size_) return false;
  null_ = view_.is_null(index_++);
  if (null_) {
    value_ = Datum{};
    return true;
  }
  const auto left = static_cast<std::size_t>(view_.end_ - at_);
  if (!is_variable(view_.phys_)) {
    const std::uint32_t width = width_of(view_.phys_);
    if (left < width) malformed();
    value_ = load_datum(at_, width);
    at_ += width;
    return true;
  }
  if (left < 4) malformed();
  const auto length = load<std::uint32_t>(at_);
  if (left - 4 < length) malformed();
  value_ = load_stored(as_bytes(std::string_view{at_ + 4, length}), view_.phys_, arena_);
  at_ += 4 + length;
  return true;
}

bool ArrayView::element(std::uint32_t i, Arena& arena, Datum* out) const {
  if (i >= size_ || is_null(i)) return false;
  if (!is_variable(phys_) && nulls_ == nullptr) {
    const std::uint32_t width = width_of(phys_);
    const char* at = elements_ + std::size_t{i} * width;
    if (static_cast<std::size_t>(end_ - elements_) < std::size_t{i + 1} * width) malformed();
    *out = load_datum(at, width);
    return true;
  }
  Cursor c{*this, arena};
  for (std::uint32_t k = 0; k <= i; ++k) c.next();
  *out = c.value();
  return true;
}

bool ArrayView::subscript(std::span<const std::int32_t> subscripts, Arena& arena, Datum* out) const {
  if (static_cast<int>(subscripts.size()) != ndim_ || ndim_ == 0) return false;
  std::uint64_t position = 0;
  for (int i = 0; i < ndim_; ++i) {
    const std::int64_t at = std::int64_t{subscripts[static_cast<std::size_t>(i)]} - dims_[i].lower;
    if (at < 0 || at >= dims_[i].length) return false;
    position = position * static_cast<std::uint64_t>(dims_[i].length) + static_cast<std::uint64_t>(at);
  }
  return element(static_cast<std::uint32_t>(position), arena, out);
}

ArrayBuilder::ArrayBuilder(Oid element_type) : element_(element_type), phys_(element_phys_of(element_type)) {}

void ArrayBuilder::add(const Datum& value, bool is_null) {
  if (count_ >= kMaxArrayElements)
    throw error(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                kMaxArrayElements);
  ++count_;
  nulls_.push_back(is_null);
  has_nulls_ |= is_null;
  if (is_null) return;
  if (!is_variable(phys_)) {
    append_stored(value, phys_, elements_);
    return;
  }
  const std::size_t at = elements_.size();
  ByteWriter{elements_}.fixed<std::uint32_t>(0);
  append_stored(value, phys_, elements_);
  store(elements_.data() + at, static_cast<std::uint32_t>(elements_.size() - at - 4));
}

Str ArrayBuilder::finish(Arena& arena) const {
  if (count_ == 0) return finish({}, arena);
  const Dimension one{static_cast<std::int32_t>(count_), 1};
  return finish({&one, 1}, arena);
}

Str ArrayBuilder::finish(std::span<const Dimension> dimensions, Arena& arena) const {
  std::uint64_t size = dimensions.empty() ? 0 : 1;
  for (const Dimension& d : dimensions) size *= static_cast<std::uint64_t>(d.length);
  if (size == 0) dimensions = {};
  RUSTBD_ASSERT(size == count_ && dimensions.size() <= kMaxDimensions,
                "the shape has as many places as elements");
  const std::size_t bitmap = has_nulls_ ? (count_ + 7) / 8 : 0;
  const std::size_t bytes = kHeaderBytes + kDimensionBytes * dimensions.size() + bitmap + elements_.size();
  if (bytes > Str::kMaxBytes)
    throw error(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                Str::kMaxBytes);
  char* const start = static_cast<char*>(arena.allocate(bytes, 8));
  char* p = start;
  store(p, static_cast<std::uint8_t>(dimensions.size()));
  store(p + 1, static_cast<std::uint8_t>(has_nulls_ ? 1 : 0));
  store(p + 2, std::uint16_t{0});
  store(p + 4, element_);
  p += kHeaderBytes;
  for (const Dimension& d : dimensions) {
    store(p, d.length);
    store(p + 4, d.lower);
    p += kDimensionBytes;
  }
  std::memset(p, 0, bitmap);
  if (has_nulls_)
    for (std::size_t i = 0; i < count_; ++i)
      if (nulls_[i]) p[i >> 3] = static_cast<char>(p[i >> 3] | (1 << (i & 7)));
  p += bitmap;
  if (!elements_.empty()) std::memcpy(p, elements_.data(), elements_.size());
  return Str{std::string_view{start, bytes}};
}

Datum to_element(const Datum& value, const TypeRef& type, Arena& arena) {
  if (type.phys != Phys::kD64 && type.phys != Phys::kD128) return value;
  return Datum::of(datum_to_numeric(value, type, arena));
}

namespace {
template <class T>
Str make_vector(std::span<const T> values, Oid element, Arena& arena) {
  ArrayBuilder builder{element};
  for (const T v : values) builder.add(Datum::of(v));
  const Dimension d{static_cast<std::int32_t>(values.size()), 0};
  return builder.finish({&d, 1}, arena);
}
}  // namespace
Str make_int2vector(std::span<const std::int16_t> values, Arena& arena) {
  return make_vector(values, oid::kInt2, arena);
}
Str make_oidvector(std::span<const Oid> values, Arena& arena) {
  return make_vector(values, oid::kOid, arena);
}

int compare_arrays(const Str& a, const Str& b, const TypeRef&) {
  const ArrayView x{a}, y{b};
  Arena arena;
  TypeRef element = make_type(x.element_type());
  element.phys = x.element_phys();
  ArrayView::Cursor i{x, arena}, j{y, arena};
  for (std::uint32_t n = std::min(x.size(), y.size()); n > 0; --n) {
    i.next();
    j.next();
    if (i.is_null() || j.is_null()) {
      if (i.is_null() != j.is_null()) return i.is_null() ? 1 : -1;
      continue;
    }
    if (const int c = compare(i.value(), j.value(), element); c != 0) return c;
  }
  if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
  if (x.ndim() != y.ndim()) return x.ndim() < y.ndim() ? -1 : 1;
  for (int d = 0; d < x.ndim(); ++d)
    if (x.dimension(d).length != y.dimension(d).length)
      return x.dimension(d).length < y.dimension(d).length ? -1 : 1;
  for (int d = 0; d < x.ndim(); ++d)
    if (x.dimension(d).lower != y.dimension(d).lower)
      return x.dimension(d).lower < y.dimension(d).lower ? -1 : 1;
  return 0;
}

}  // namespace rustbd::types
