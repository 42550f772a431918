// Keys, hashes and stored forms against compare(): random values of every representation.
#include <gtest/gtest.h>

#include <random>

#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/io.h"
#include "rustbd/types/vector.h"

namespace rustbd::types {
namespace {

using Random = std::mt19937_64;

std::string random_text(Random& random) {
  std::string text;
  for (auto n = random() % 20; n > 0; --n) text += static_cast<char>("a b\0\1\xFFz"[random() % 7]);
  return text;
}
Numeric random_numeric(Random& random, Arena& arena) {
  if (random() % 12 == 0) return numeric_special(static_cast<NumericKind>(1 + random() % 3));
  std::string text = random() % 2 == 0 ? "-" : "";
  for (auto n = 1 + random() % 45; n > 0; --n) text += static_cast<char>('0' + random() % 3);
  if (random() % 2 == 0) text.insert(text.size() / 2, text.size() / 2 <= 1 ? "0." : ".");
  return parse_numeric(text + "0", arena);
}
std::int64_t edgy(Random& random) {
  static constexpr std::int64_t kEdges[] = {0, 1, -1, INT64_MAX, INT64_MIN, 255, 256, -256};
  return random() % 2 == 0 ? kEdges[random() % 8] : static_cast<std::int64_t>(random()) >> (random() % 60);
}
double edgy_double(Random& random) {
  static const double kEdges[] = {0.0, -0.0, 1, -1, NAN, -NAN, INFINITY, -INFINITY, 5e-324, -5e-324};
  return random() % 2 == 0 ? kEdges[random() % 10] : static_cast<double>(edgy(random)) / 1000;
}

Datum random_datum(const TypeRef& type, Random& random, Arena& arena) {
  Datum d;
  switch (type.phys) {
    case Phys::kBool: return Datum::of(random() % 2 == 0);
    case Phys::kI8: d.i8 = static_cast<std::int8_t>(random()); return d;
    case Phys::kI16: return Datum::of(static_cast<std::int16_t>(edgy(random)));
    case Phys::kI32: return Datum::of(static_cast<std::int32_t>(edgy(random)));
    case Phys::kI64: return Datum::of(edgy(random));
    case Phys::kD64: return Datum::of(random() % 8 == 0 ? kD64Nan : edgy(random));
    case Phys::kU32: return Datum::of(static_cast<std::uint32_t>(edgy(random)));
    case Phys::kU64: return Datum::of(static_cast<std::uint64_t>(edgy(random)));
    case Phys::kF32: return Datum::of(static_cast<float>(edgy_double(random)));
    case Phys::kF64: return Datum::of(edgy_double(random));
    case Phys::kD128:
      return Datum::of(random() % 8 == 0 ? kD128Nan : (static_cast<Int128>(edgy(random)) << (random() % 60)));
    case Phys::kNumeric: return Datum::of(random_numeric(random, arena));
    case Phys::kInterval:
      return Datum::of(Interval{static_cast<std::int64_t>(random() % 9) * kUsPerDay / 2,
                                static_cast<std::int32_t>(random() % 90) - 45,
                                static_cast<std::int32_t>(random() % 5) - 2});
    case Phys::kTimeTz:
      return Datum::of(TimeTz{static_cast<std::int64_t>(random() % 24) * kUsPerHour,
                              (static_cast<std::int32_t>(random() % 5) - 2) * 3600, 0});
    case Phys::kU128: return Datum::of(Uuid{random() % 3, random() % 3});
    case Phys::kStr: break;
  }
  if (type.oid == oid::kInt4Array || type.oid == oid::kTextArray) {
    const bool ints = type.oid == oid::kInt4Array;
    ArrayBuilder builder{ints ? oid::kInt4 : oid::kText};
    const auto n = random() % 4;
    for (std::size_t i = 0; i < n; ++i) {
      if (random() % 4 == 0) builder.add_null();
      else if (ints) builder.add(Datum::of(static_cast<std::int32_t>(random() % 3)));
      else builder.add(Datum::of(Str::copy(random_text(random).substr(0, random() % 3), arena)));
    }
    const Dimension shape{static_cast<std::int32_t>(n), static_cast<std::int32_t>(random() % 2)};
    return Datum::of(builder.finish({&shape, 1}, arena));
  }
  return Datum::of(Str::copy(random_text(random), arena));
}

std::vector<TypeRef> types_under_test() {
  std::vector<TypeRef> types;
  for (const Oid o : {oid::kBool,     oid::kChar,   oid::kInt2,      oid::kInt4,      oid::kInt8,
                      oid::kOid,      oid::kXid8,   oid::kFloat4,    oid::kFloat8,    oid::kNumeric,
                      oid::kInterval, oid::kTimetz, oid::kUuid,      oid::kText,      oid::kBpchar,
                      oid::kBytea,    oid::kDate,   oid::kTimestamp, oid::kInt4Array, oid::kTextArray})
    types.push_back(make_type(o));
  types.push_back(make_type(oid::kNumeric, numeric_typmod(10, 2)));
  types.push_back(make_type(oid::kNumeric, numeric_typmod(30, 4)));
  return types;
}
int sign(int v) { return v < 0 ? -1 : (v > 0 ? 1 : 0); }
int compare_bytes(const Bytes& a, const Bytes& b) { return sign(as_chars(a).compare(as_chars(b))); }

TEST(Key, OrderOfKeysIsOrderOfValues) {
  Random random{7};
  for (const TypeRef& type : types_under_test()) {
    SCOPED_TRACE(format_type(type.oid, type.typmod));
    Arena arena;
    for (int i = 0; i < 3000; ++i) {
      const KeyPart part{type, random() % 2 == 0, random() % 2 == 0};
      const Datum a = random_datum(type, random, arena), b = random_datum(type, random, arena);
      Bytes x, y;
      append_key(a, false, part, x);
      append_key(b, false, part, y);
      const int order = sign(compare(a, b, type));
      ASSERT_EQ(compare_bytes(x, y), part.descending ? -order : order) << i;
      ASSERT_EQ(sign(compare(b, a, type)), -order);
      ASSERT_EQ(equal(a, b, type), order == 0);
      if (order == 0) {
        ASSERT_EQ(hash(a, type), hash(b, type)) << i;
      }
      Bytes null_key;
      append_key({}, true, part, null_key);
      ASSERT_EQ(compare_bytes(null_key, x), part.nulls_first ? -1 : 1);
      // A prefix never decides what a later column must: keys are prefix-free.
      if (order != 0) {
        ASSERT_FALSE(as_chars(x).starts_with(as_chars(y)));
      }
    }
  }
}

TEST(Key, DecodesWhatItCan) {
  Random random{8};
  for (const TypeRef& type : types_under_test()) {
    SCOPED_TRACE(format_type(type.oid, type.typmod));
    const bool lossy = type.phys == Phys::kNumeric || type.phys == Phys::kInterval ||
                       type.oid == oid::kBpchar || element_type_of(type.oid) != oid::kInvalid;
    Arena arena;
    for (int i = 0; i < 500; ++i) {
      const KeyPart part{type, random() % 2 == 0, false};
      const Datum a = random_datum(type, random, arena);
      Bytes key;
      append_key(a, false, part, key);
      ByteReader in{key};
      Datum back;
      bool is_null = true;
      ASSERT_EQ(decode_key(in, part, arena, &back, &is_null), !lossy);
      if (!lossy) {
        ASSERT_EQ(compare(a, back, type), 0) << i;
      }
    }
  }
}

TEST(Stored, LoadsWhatWasAppended) {
  Random random{9};
  for (const TypeRef& type : types_under_test()) {
    Arena arena;
    for (int i = 0; i < 500; ++i) {
      const Datum a = random_datum(type, random, arena);
      Bytes stored;
      append_stored(a, type.phys, stored);
      const Datum back = load_stored(stored, type.phys, arena);
      ASSERT_EQ(compare(a, back, type), 0);
      if (type.phys == Phys::kNumeric) {
        ASSERT_EQ(to_string(a.numeric), to_string(back.numeric));
      }
    }
  }
}

TEST(Hash, NumbersHashAlikeAcrossRepresentations) {
  Arena arena;
  const std::uint64_t want = hash(Datum::of(std::int32_t{-42}), make_type(oid::kInt4));
  EXPECT_EQ(hash(Datum::of(std::int16_t{-42}), make_type(oid::kInt2)), want);
  EXPECT_EQ(hash(Datum::of(std::int64_t{-42}), make_type(oid::kInt8)), want);
  EXPECT_EQ(hash(Datum::of(std::int64_t{-4200}), make_type(oid::kNumeric, numeric_typmod(10, 2))), want);
  EXPECT_EQ(hash(Datum::of(Int128{-42000}), make_type(oid::kNumeric, numeric_typmod(30, 3))), want);
  EXPECT_EQ(hash(Datum::of(parse_numeric("-42.0", arena)), make_type(oid::kNumeric)), want);
}

TEST(Typmod, LengthsCountCharacters) {
  Arena arena;
  IoContext context{{}, nullptr, &arena};
  const TypeRef varchar = make_type(oid::kVarchar, 3 + 4), bpchar = make_type(oid::kBpchar, 3 + 4);
  EXPECT_EQ(input_text("hé", bpchar, context).str.view(), "hé ");
  EXPECT_EQ(input_text("abc   ", varchar, context).str.view(), "abc");
  EXPECT_EQ(apply_typmod(Datum::of(Str{"ééééé"}), varchar, true, arena).str.view(), "ééé");
  try {
    input_text("abcd", varchar, context);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.state.text(), "22001");
    EXPECT_EQ(e.message, "value too long for type character varying(3)");
  }
  try {
    check_utf8("ab\xc3(");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message, "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28");
  }
  EXPECT_EQ(format_type(oid::kTimestampArray, 3), "timestamp(3) without time zone[]");
  EXPECT_EQ(format_type(oid::kNumeric, numeric_typmod(5, -2)), "numeric(5,-2)");
}

TEST(Vectors, AppendsGathersAndKeepsNulls) {
  const Phys columns[] = {Phys::kI64, Phys::kStr};
  ChunkBuffer from{columns}, to{columns};
  Chunk& chunk = from.begin();
  for (std::uint32_t i = 0; i < 100; ++i) {
    from.put(0, i, Datum::of(std::int64_t{i}), i % 3 == 0);
    from.put(1, i, Datum::of(Str{"a string that is long " + std::to_string(i)}), i % 5 == 0);
  }
  chunk.select_all(100);
  std::uint16_t picks[10];
  for (std::uint16_t i = 0; i < 10; ++i) picks[i] = static_cast<std::uint16_t>(i * 9);
  chunk.selection = {picks, 10};
  to.begin();
  EXPECT_EQ(to.append(chunk), 10u);
  VectorBuffer memory;
  Vector flat;
  gather(chunk[1], chunk.selection, memory, flat);
  from.begin();
  for (std::uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(to.chunk()[0].is_valid(i), (i * 9) % 3 != 0);
    EXPECT_EQ(flat.is_valid(i), (i * 9) % 5 != 0);
    if ((i * 9) % 5 != 0) {
      EXPECT_EQ(to.chunk()[1].datum(i).str.view(), "a string that is long " + std::to_string(i * 9));
    }
  }
  Arena arena;
  const Vector constant = make_constant(Datum::of(std::int64_t{7}), false, Phys::kI64, arena);
  EXPECT_EQ(constant.datum(999).i64, 7);
  EXPECT_FALSE(make_constant({}, true, Phys::kStr, arena).is_valid(5));
}

}  // namespace
}  // namespace rustbd::types
