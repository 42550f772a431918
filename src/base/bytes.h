// Little-endian loads and stores, varints, and a reader that never runs over its end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace rustbd {

static_assert(std::endian::native == std::endian::little, "on-disk formats are little-endian");

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

template <class T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] inline T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
requires std::is_trivially_copyable_v<T>
inline void store(void* to, const T& value) { std::memcpy(to, &value, sizeof value); }

inline std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
inline std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

inline std::string_view as_chars(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Appends to a byte vector. LEB128 varints; fixed numbers little-endian.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void fixed(const T& value) {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    out_.insert(out_.end(), p, p + sizeof value);
  }
  void varint(std::uint64_t v) {
    while (v >= 0x80) {
      out_.push_back(static_cast<std::byte>(v | 0x80));
      v >>= 7;
    }
    out_.push_back(static_cast<std::byte>(v));
  }
  void signed_varint(std::int64_t v) { varint(zigzag(v)); }
  void raw(const void* data, std::size_t n) {
    const auto* p = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), p, p + n);
  }
  void raw(ByteSpan bytes) { raw(bytes.data(), bytes.size()); }
  void text(std::string_view s) {
    varint(s.size());
    raw(s.data(), s.size());
  }
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes& buffer() { return out_; }

 private:
  Bytes& out_;
};

/// Reads what ByteWriter wrote. Over the end: ok() turns false, every later read gives zero or nothing.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan in) : p_(in.data()), end_(in.data() + in.size()) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return p_ == end_; }
  [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - p_); }
  template <class T>
  requires std::is_trivially_copyable_v<T> T fixed() {
    T value{};
    if (need(sizeof(T))) {
      std::memcpy(&value, p_, sizeof(T));
      p_ += sizeof(T);
    }
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (!need(1)) return 0;
      const auto b = static_cast<std::uint8_t>(*p_++);
      v |= static_cast<std::uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) return v;
    }
    ok_ = false;
    return 0;
  }
  std::int64_t signed_varint() { return unzigzag(varint()); }
  ByteSpan raw(std::size_t n) {
    if (!need(n)) return {};
    ByteSpan s{p_, n};
    p_ += n;
    return s;
  }
  std::string_view text() { return as_chars(raw(varint())); }

 private:
  bool need(std::size_t n) {
    if (ok_ && static_cast<std::size_t>(end_ - p_) >= n) return true;
    ok_ = false;
    return false;
  }
  const std::byte* p_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace rustbd
