#include "rustbd/exec/row_table.h"

#include <bit>
#include <cmath>

#include "rustbd/base/hash.h"
#include "rustbd/types/compare.h"

namespace rustbd::exec {

using types::Phys;

RowLayout::RowLayout(std::vector<TypeRef> columns, std::uint32_t extra_bytes) : types_(std::move(columns)) {
  std::uint32_t at = kNulls + null_bytes();
  for (const auto& type : types_) {
    const auto width = types::width_of(type.phys);
    at = (at + width - 1) / width * width;
    offsets_.push_back(at);
    at += width;
  }
  extra_offset_ = (at + 15) / 16 * 16;
  row_bytes_ = (extra_offset_ + extra_bytes + 15) / 16 * 16;
}

Row RowTable::append_row() {
  const auto width = layout_.row_bytes();
  if (blocks_.empty() || blocks_.back().rows == blocks_.back().capacity) {
    const auto bytes = std::max(next_block_bytes_, width * 4);
    next_block_bytes_ = std::min<std::uint32_t>(next_block_bytes_ * 2, 256 << 10);
    Block block{std::make_unique_for_overwrite<std::byte[]>(bytes + 15), nullptr, 0, bytes / width};
    block.first = reinterpret_cast<Row>((reinterpret_cast<std::uintptr_t>(block.memory.get()) + 15) &
                                        ~std::uintptr_t{15});
    block_bytes_ += bytes + 15;
    blocks_.push_back(std::move(block));
    charge();
  }
  Block& block = blocks_.back();
  Row row = block.first + std::size_t{block.rows} * width;
  std::memset(row, 0, width);
  ++block.rows;
  ++rows_;
  return row;
}

void RowTable::charge() {
  const auto now = block_bytes_ + adopted_bytes_ + static_cast<std::int64_t>(heap_.bytes_reserved());
  if (now == charged_) return;
  const auto delta = now - charged_;
  charged_ = now;
  memory_->charge(delta);
}

void RowTable::put(Row row, std::size_t column, const Datum& value, bool is_null) {
  const auto phys = layout_.type(column).phys;
  if (is_null) {
    layout_.set_null(row, column);
    return;
  }
  if (types::is_variable(phys)) {
    types::store_datum(layout_.at(row, column), types::copy_datum(value, phys, heap_), 16);
    charge();
  } else {
    types::store_datum(layout_.at(row, column), value, types::width_of(phys));
  }
}

namespace {
template <class T>
void scatter(const Vector& v, const Selection& selection, std::uint32_t offset, Row* rows) {
  const T* values = v.values<T>();
  for (std::uint32_t i = 0; i < selection.count; ++i)
    std::memcpy(rows[i] + offset, values + v.slot(selection[i]), sizeof(T));
}
struct Sixteen {
  std::uint64_t lo, hi;
};
}  // namespace

void RowTable::append(const Vector* columns, const Selection& selection, Row* rows) {
  if (selection.count == 0) return;
  Row places[types::kVectorSize];
  if (rows == nullptr) rows = places;
  for (std::uint32_t i = 0; i < selection.count; ++i) rows[i] = append_row();
  for (std::size_t c = 0; c < layout_.size(); ++c) {
    const Vector& v = columns[c];
    const auto phys = layout_.type(c).phys;
    if (v.validity == nullptr && v.form != types::Form::kSeq && !types::is_variable(phys)) {
      const auto offset = static_cast<std::uint32_t>(layout_.at(rows[0], c) - rows[0]);
      switch (types::width_of(phys)) {
        case 1: scatter<std::uint8_t>(v, selection, offset, rows); break;
        case 2: scatter<std::uint16_t>(v, selection, offset, rows); break;
        case 4: scatter<std::uint32_t>(v, selection, offset, rows); break;
        case 8: scatter<std::uint64_t>(v, selection, offset, rows); break;
        default: scatter<Sixteen>(v, selection, offset, rows); break;
      }
      continue;
    }
    for (std::uint32_t i = 0; i < selection.count; ++i) {
      const auto row = selection[i];
      const bool valid = v.is_valid(row);
      put(rows[i], c, valid ? v.datum(row) : Datum{}, !valid);
    }
  }
}

Row RowTable::append_copy(const std::byte* from) {
  Row row = append_row();
  std::memcpy(row, from, layout_.row_bytes());
  RowLayout::next(row) = nullptr;
  for (std::size_t c = 0; c < layout_.size(); ++c) {
    const auto phys = layout_.type(c).phys;
    if (types::is_variable(phys) && !layout_.is_null(row, c))
      types::store_datum(layout_.at(row, c), types::copy_datum(layout_.datum(row, c), phys, heap_), 16);
  }
  charge();
  return row;
}

void RowTable::adopt(RowTable& other) {
  for (auto& block : other.blocks_) blocks_.push_back(std::move(block));
  for (auto& heap : other.adopted_heaps_) adopted_heaps_.push_back(std::move(heap));
  adopted_bytes_ += other.adopted_bytes_ + static_cast<std::int64_t>(other.heap_.bytes_reserved());
  block_bytes_ += other.block_bytes_;
  rows_ += other.rows_;
  adopted_heaps_.push_back(std::move(other.heap_));
  charged_ += other.charged_;
  other.charged_ = 0;
  other.heap_ = Arena{512};
  other.blocks_.clear();
  other.adopted_heaps_.clear();
  other.rows_ = 0;
  other.block_bytes_ = other.adopted_bytes_ = 0;
  charge();
}

void RowTable::clear() {
  if (blocks_.empty() && adopted_heaps_.empty()) return;
  blocks_.clear();
  adopted_heaps_.clear();
  heap_ = Arena{512};
  rows_ = 0;
  block_bytes_ = adopted_bytes_ = 0;
  next_block_bytes_ = 2048;
  charge();
}

std::uint32_t RowTable::next(Cursor& cursor, Row* rows, std::uint32_t max) const {
  std::uint32_t n = 0;
  const std::size_t width = layout_.row_bytes();
  while (n < max && cursor.block < blocks_.size()) {
    const Block& block = blocks_[cursor.block];
    if (cursor.index == block.rows) {
      if (cursor.block + 1 == blocks_.size()) break;  // more may be appended here
      ++cursor.block;
      cursor.index = 0;
      continue;
    }
    rows[n++] = block.first + cursor.index++ * width;
  }
  return n;
}

std::vector<Row> RowTable::all_rows() const {
  std::vector<Row> rows;
  rows.reserve(rows_);
  for (const auto& block : blocks_)
    for (std::uint32_t i = 0; i < block.rows; ++i)
      rows.push_back(block.first + std::size_t{i} * layout_.row_bytes());
  return rows;
}

namespace {
template <class T>
void gather_as(const RowLayout& layout, std::span<const Row> rows, std::size_t column, VectorBuffer& memory,
               Vector& out) {
  T* values = out.values<T>();
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == nullptr || layout.is_null(rows[i], column)) {
      set_null_bit(out, memory, i);
      values[i] = T{};
    } else {
      std::memcpy(&values[i], layout.at(rows[i], column), sizeof(T));
    }
  }
}
}  // namespace

void gather_rows(const RowLayout& layout, std::span<const Row> rows, std::size_t column, VectorBuffer& memory,
                 Vector& out) {
  memory.reset(layout.type(column).phys);
  out = memory.flat();
  switch (out.width) {
    case 1: gather_as<std::uint8_t>(layout, rows, column, memory, out); break;
    case 2: gather_as<std::uint16_t>(layout, rows, column, memory, out); break;
    case 4: gather_as<std::uint32_t>(layout, rows, column, memory, out); break;
    case 8: gather_as<std::uint64_t>(layout, rows, column, memory, out); break;
    default: gather_as<Sixteen>(layout, rows, column, memory, out); break;
  }
}

namespace {
bool is_integer(Phys phys) { return phys == Phys::kI16 || phys == Phys::kI32 || phys == Phys::kI64; }
bool is_float(Phys phys) { return phys == Phys::kF32 || phys == Phys::kF64; }
/// Strings whose equality is that of their bytes.
bool is_plain_text(const TypeRef& type) {
  using namespace types;
  return type.phys == Phys::kStr &&
         (type.oid == oid::kText || type.oid == oid::kVarchar || type.oid == oid::kName ||
          type.oid == oid::kBytea || type.oid == oid::kUnknown);
}
std::int64_t as_integer(const Datum& d, Phys phys) {
  return phys == Phys::kI16 ? d.i16 : (phys == Phys::kI32 ? d.i32 : d.i64);
}
double as_double(const Datum& d, Phys phys) {
  return phys == Phys::kF32 ? static_cast<double>(d.f32) : d.f64;
}
std::uint64_t hash_double(double v) {
  if (v == 0) v = 0;
  if (std::isnan(v)) return hash_u64(0x7FF8000000000000ull);
  return hash_u64(std::bit_cast<std::uint64_t>(v));
}
std::uint64_t hash_text(const types::Str& s) {
  if (!s.is_inline()) return hash_bytes(s.ptr, s.len);
  std::uint64_t a, b;
  std::memcpy(&a, &s, 8);
  std::memcpy(&b, s.rest, 8);
  return hash_combine(hash_u64(a), b);
}
constexpr std::uint64_t kNullHash = 0x9E3779B97F4A7C15ull;
}  // namespace

bool comparable(const TypeRef& a, const TypeRef& b) {
  if (is_integer(a.phys) && is_integer(b.phys)) return true;
  if (is_float(a.phys) && is_float(b.phys)) return true;
  if (is_plain_text(a) && is_plain_text(b)) return true;
  return a.phys == b.phys && a.scale == b.scale && a.oid == b.oid;
}

bool equal_values(const Datum& a, const TypeRef& a_type, const Datum& b, const TypeRef& b_type) {
  const auto phys = a_type.phys;
  switch (phys) {
    case Phys::kBool: return a.boolean == b.boolean;
    case Phys::kI8: return a.i8 == b.i8;
    case Phys::kI16:
    case Phys::kI32:
    case Phys::kI64: return as_integer(a, phys) == as_integer(b, b_type.phys);
    case Phys::kU32: return a.u32 == b.u32;
    case Phys::kU64: return a.u64 == b.u64;
    case Phys::kF32:
    case Phys::kF64: {
      const double x = as_double(a, phys), y = as_double(b, b_type.phys);
      return x == y || (std::isnan(x) && std::isnan(y));
    }
    case Phys::kD64: return a.i64 == b.i64;
    case Phys::kD128: return a.i128 == b.i128;
    case Phys::kU128: return a.uuid == b.uuid;
    case Phys::kStr:
      if (is_plain_text(a_type)) return a.str == b.str;
      break;
    default: break;
  }
  return types::equal(a, b, a_type);
}

std::uint64_t hash_value(const Datum& d, const TypeRef& type) {
  switch (type.phys) {
    case Phys::kBool: return hash_u64(d.boolean ? 1 : 0);
    case Phys::kI8: return hash_u64(static_cast<std::uint64_t>(d.i8));
    case Phys::kI16:
    case Phys::kI32:
    case Phys::kI64: return hash_u64(static_cast<std::uint64_t>(as_integer(d, type.phys)));
    case Phys::kU32: return hash_u64(d.u32);
    case Phys::kU64: return hash_u64(d.u64);
    case Phys::kF32:
    case Phys::kF64: return hash_double(as_double(d, type.phys));
    case Phys::kStr:
      if (is_plain_text(type)) return hash_text(d.str);
      break;
    default: break;
  }
  return types::hash(d, type);
}

namespace {
template <class T>
void hash_integers(const Vector& v, const Selection& selection, std::uint64_t* hashes, bool combine) {
  const T* values = v.values<T>();
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    const auto h = v.is_valid(row)
                       ? hash_u64(static_cast<std::uint64_t>(static_cast<std::int64_t>(values[v.slot(row)])))
                       : kNullHash;
    hashes[i] = combine ? hash_combine(hashes[i], h) : h;
  }
}
}  // namespace

void hash_column(const Vector& v, const TypeRef& type, const Selection& selection, std::uint64_t* hashes,
                 bool combine) {
  if (v.form != types::Form::kSeq) {
    if (type.phys == Phys::kI32) return hash_integers<std::int32_t>(v, selection, hashes, combine);
    if (type.phys == Phys::kI64) return hash_integers<std::int64_t>(v, selection, hashes, combine);
  }
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    const auto h = v.is_valid(row) ? hash_value(v.datum(row), type) : kNullHash;
    hashes[i] = combine ? hash_combine(hashes[i], h) : h;
  }
}

namespace {
constexpr std::uint64_t kPointerMask = (1ull << 48) - 1;
}

KeyTable::KeyTable(MemoryTracker& memory, std::vector<TypeRef> keys, std::uint32_t extra_bytes)
    : memory_(&memory), rows_(memory, RowLayout{std::move(keys), extra_bytes}) {}

KeyTable::~KeyTable() { memory_->charge(-static_cast<std::int64_t>(slots_.size() * 8)); }

void KeyTable::clear() {
  rows_.clear();
  memory_->charge(-static_cast<std::int64_t>(slots_.size() * 8));
  slots_ = {};
}

void KeyTable::grow() {
  const auto n = slots_.empty() ? std::size_t{64} : slots_.size() * 2;
  const auto more = static_cast<std::int64_t>((n - slots_.size()) * 8);
  slots_.assign(n, 0);
  for (Row row : rows_.all_rows()) {
    const auto h = RowLayout::hash(row);
    auto at = h & (n - 1);
    while (slots_[at] != 0) at = (at + 1) & (n - 1);
    slots_[at] = (h & ~kPointerMask) | reinterpret_cast<std::uint64_t>(row);
  }
  memory_->charge(more);
}

void KeyTable::hash_keys(const Vector* keys, const Selection& selection, std::uint64_t* hashes) const {
  const auto& layout = rows_.layout();
  if (layout.size() == 0) std::fill_n(hashes, selection.count, kNullHash);
  for (std::size_t c = 0; c < layout.size(); ++c)
    hash_column(keys[c], layout.type(c), selection, hashes, c != 0);
}

std::uint64_t* KeyTable::find_slot(const Vector* keys, std::uint32_t row, std::uint64_t hash) const {
  const auto& layout = rows_.layout();
  const auto mask = slots_.size() - 1;
  for (auto at = hash & mask;; at = (at + 1) & mask) {
    const std::uint64_t slot = slots_[at];
    auto* place = const_cast<std::uint64_t*>(&slots_[at]);
    if (slot == 0) return place;
    if (((slot ^ hash) & ~kPointerMask) != 0) continue;
    const Row candidate = reinterpret_cast<Row>(slot & kPointerMask);
    if (RowLayout::hash(candidate) != hash) continue;
    bool same = true;
    for (std::size_t c = 0; c < layout.size() && same; ++c) {
      const bool null = !keys[c].is_valid(row);
      same = null == layout.is_null(candidate, c) &&
             (null ||
              equal_values(layout.datum(candidate, c), layout.type(c), keys[c].datum(row), layout.type(c)));
    }
    if (same) return place;
  }
}

void KeyTable::find_or_insert(const Vector* keys, const Selection& selection, Row* rows, bool* is_new) {
  std::uint64_t hashes[types::kVectorSize];
  hash_keys(keys, selection, hashes);
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    if ((rows_.size() + 1) * 5 > slots_.size() * 3) grow();
    std::uint64_t* slot = find_slot(keys, selection[i], hashes[i]);
    is_new[i] = *slot == 0;
    if (is_new[i]) {
      Row row = rows_.append_row();
      RowLayout::hash(row) = hashes[i];
      for (std::size_t c = 0; c < layout().size(); ++c) {
        const bool valid = keys[c].is_valid(selection[i]);
        rows_.put(row, c, valid ? keys[c].datum(selection[i]) : Datum{}, !valid);
      }
      *slot = (hashes[i] & ~kPointerMask) | reinterpret_cast<std::uint64_t>(row);
    }
    rows[i] = reinterpret_cast<Row>(*slot & kPointerMask);
  }
}

void KeyTable::find(const Vector* keys, const Selection& selection, Row* rows) const {
  if (slots_.empty()) {
    std::fill_n(rows, selection.count, nullptr);
    return;
  }
  std::uint64_t hashes[types::kVectorSize];
  hash_keys(keys, selection, hashes);
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto slot = *find_slot(keys, selection[i], hashes[i]);
    rows[i] = slot == 0 ? nullptr : reinterpret_cast<Row>(slot & kPointerMask);
  }
}

Row KeyTable::find_or_insert_row(const std::byte* row, const RowLayout& from, bool* is_new) {
  const auto hash = RowLayout::hash(row);
  if ((rows_.size() + 1) * 5 > slots_.size() * 3) grow();
  const auto mask = slots_.size() - 1;
  const auto& layout = rows_.layout();
  for (auto at = hash & mask;; at = (at + 1) & mask) {
    if (slots_[at] == 0) {
      Row copy = rows_.append_row();
      RowLayout::hash(copy) = hash;
      for (std::size_t c = 0; c < layout.size(); ++c)
        rows_.put(copy, c, from.datum(row, c), from.is_null(row, c));
      slots_[at] = (hash & ~kPointerMask) | reinterpret_cast<std::uint64_t>(copy);
      *is_new = true;
      return copy;
    }
    const Row candidate = reinterpret_cast<Row>(slots_[at] & kPointerMask);
    if (RowLayout::hash(candidate) != hash) continue;
    bool same = true;
    for (std::size_t c = 0; c < layout.size() && same; ++c) {
      const bool null = from.is_null(row, c);
      same = null == layout.is_null(candidate, c) &&
             (null ||
              equal_values(layout.datum(candidate, c), layout.type(c), from.datum(row, c), layout.type(c)));
    }
    if (same) {
      *is_new = false;
      return candidate;
    }
  }
}

}  // namespace rustbd::exec
