#include "rustbd/types/vector.h"

#include <cstring>

#include "rustbd/base/rest.h"
#include "rustbd/types/vector_memory.h"

namespace rustbd::types {

namespace {

template <class T>
void gather_as(const Vector& from, const Selection& selection, void* to) {
  const T* values = from.values<T>();
  T* out = static_cast<T*>(to);
  const std::uint32_t n = selection.count;
  switch (from.form) {
    case Form::kFlat:
      if (selection.indexes == nullptr) {
        std::memcpy(static_cast<void*>(out), values, std::size_t{n} * sizeof(T));
      } else {
        for (std::uint32_t i = 0; i < n; ++i) out[i] = values[selection.indexes[i]];
      }
      return;
    case Form::kConst:
      for (std::uint32_t i = 0; i < n; ++i) out[i] = values[0];
      return;
    case Form::kDict:
      for (std::uint32_t i = 0; i < n; ++i) out[i] = values[from.codes[selection[i]]];
      return;
    case Form::kSeq: break;
  }
  RUSTBD_UNREACHABLE("a sequence is of 64-bit integers");
}
struct Wide {
  std::uint64_t lo, hi;
};

void gather_sequence(const Vector& from, const Selection& selection, std::int64_t* out) {
  const auto* s = from.values<std::int64_t>();
  for (std::uint32_t i = 0; i < selection.count; ++i)
    out[i] = s[0] + static_cast<std::int64_t>(selection[i]) * s[1];
}

/// Copies validity bits of the selected rows; nullptr when all are valid.
std::uint64_t* gather_validity(const Vector& from, const Selection& selection, VectorBuffer& memory) {
  if (from.validity == nullptr) return nullptr;
  std::uint64_t* words = nullptr;
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    if (from.is_valid(selection[i])) continue;
    if (words == nullptr) words = memory.fresh_validity();
    words[i >> 6] &= ~(1ull << (i & 63));
  }
  return words;
}
}  // namespace

void VectorBuffer::Free::operator()(void* p) const { give_vector_block(p); }

void VectorBuffer::reset(Phys phys, std::uint32_t rows) {
  const bool other = data_ == nullptr || phys != phys_;
  // One size for all so that a buffer can change its type without new memory.
  if (data_ == nullptr) data_.reset(take_vector_block());
  phys_ = phys;
  if (!is_variable(phys) && phys != Phys::kBool) return;
  if (other) defined_ = 0;
  if (rows <= defined_) return;
  const auto width = std::size_t{width_of(phys)};
  std::memset(static_cast<char*>(data_.get()) + width * defined_, 0, width * (rows - defined_));
  defined_ = rows;
}

Vector VectorBuffer::flat() {
  if (data_ == nullptr) reset(phys_, 0);
  Vector v;
  v.phys = phys_;
  v.width = width_of(phys_);
  v.data = data_.get();
  return v;
}

std::uint64_t* VectorBuffer::fresh_validity() {
  if (validity_ == nullptr) validity_ = std::make_unique_for_overwrite<std::uint64_t[]>(kValidityWords);
  std::memset(validity_.get(), 0xFF, kValidityWords * sizeof(std::uint64_t));
  return validity_.get();
}

void ChunkBuffer::reset(std::span<const Phys> columns) {
  buffers_.resize(columns.size());
  vectors_.resize(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) buffers_[i].reset(columns[i], 0);
  begin();
}

bool ChunkBuffer::rest() {
  for (auto& buffer : buffers_) buffer.release();
  chunk_.select_all(0);
  arena_.reset();
  return arena_.bytes_reserved() <= kRestBytesMax;
}

Chunk& ChunkBuffer::begin() {
  arena_.reset();
  for (std::size_t i = 0; i < buffers_.size(); ++i) vectors_[i] = buffers_[i].flat();
  chunk_.columns = vectors_.data();
  chunk_.column_count = static_cast<std::uint32_t>(vectors_.size());
  chunk_.select_all(0);
  return chunk_;
}

void ChunkBuffer::set_null(std::uint32_t column, std::uint32_t row) {
  Vector& v = vectors_[column];
  if (v.validity == nullptr) v.validity = buffers_[column].fresh_validity();
  v.validity[row >> 6] &= ~(1ull << (row & 63));
  std::memset(static_cast<char*>(v.data) + std::size_t{row} * v.width, 0,
              v.width);  // never a dangling string
}

void ChunkBuffer::put(std::uint32_t column, std::uint32_t row, const Datum& value, bool is_null, bool copy) {
  RUSTBD_DEBUG_ASSERT(column < vectors_.size() && row < kVectorSize);
  Vector& v = vectors_[column];
  void* place = static_cast<char*>(v.data) + std::size_t{row} * v.width;
  if (is_null) {
    set_null(column, row);
    return;
  }
  if (copy && is_variable(v.phys)) {
    store_datum(place, copy_datum(value, v.phys, arena_), v.width);
  } else {
    store_datum(place, value, v.width);
  }
}

std::uint32_t ChunkBuffer::append(const Chunk& from, std::uint32_t first) {
  RUSTBD_DEBUG_ASSERT(from.column_count == chunk_.column_count);
  const std::uint32_t start = chunk_.rows;
  const std::uint32_t wanted = from.count() > first ? from.count() - first : 0;
  const std::uint32_t n = std::min(wanted, kVectorSize - start);
  for (std::uint32_t c = 0; c < from.column_count; ++c) {
    const Vector& in = from.columns[c];
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t row = from.selection[first + i];
      const bool valid = in.is_valid(row);
      put(c, start + i, valid ? in.datum(row) : Datum{}, !valid);
    }
  }
  chunk_.select_all(start + n);
  return n;
}

void gather(const Vector& from, const Selection& selection, VectorBuffer& to_memory, Vector& to) {
  to_memory.reset(from.phys);
  to = to_memory.flat();
  to.flags = from.flags;
  to.range = from.range;
  to.keep = from.keep;
  if (from.form == Form::kSeq) {
    gather_sequence(from, selection, to.values<std::int64_t>());
    return;
  }
  switch (from.width) {
    case 1: gather_as<std::uint8_t>(from, selection, to.data); break;
    case 2: gather_as<std::uint16_t>(from, selection, to.data); break;
    case 4: gather_as<std::uint32_t>(from, selection, to.data); break;
    case 8: gather_as<std::uint64_t>(from, selection, to.data); break;
    default: gather_as<Wide>(from, selection, to.data); break;
  }
  to.validity = gather_validity(from, selection, to_memory);
}

Vector make_constant(const Datum& value, bool is_null, Phys phys, Arena& memory) {
  Vector v;
  v.phys = phys;
  v.form = Form::kConst;
  v.width = width_of(phys);
  v.data = memory.allocate(16, 16);
  std::memset(v.data, 0, 16);
  if (is_null) {
    v.validity = memory.make_array<std::uint64_t>(1);
  } else {
    store_datum(v.data, copy_datum(value, phys, memory), v.width);
  }
  return v;
}

}  // namespace rustbd::types
