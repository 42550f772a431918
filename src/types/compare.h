// Order, equality and hash of values by type; normalised keys; stored forms. One place for the rules of every
// type.
#pragma once

#include <cstdint>

#include "rustbd/base/bytes.h"
#include "rustbd/types/value.h"

namespace rustbd::types {

/// SQL's default order of two non-null values of one type (same scale): <0, 0, >0. NaN = NaN > all; -0 = 0;
/// bpchar ignores trailing blanks; intervals as 30-day months; arrays element by element.
int compare(const Datum& a, const Datum& b, const TypeRef& type);
bool equal(const Datum& a, const Datum& b, const TypeRef& type);
/// Equal values hash alike, also across int2/int4/int8, and across numeric scales and representations.
std::uint64_t hash(const Datum& value, const TypeRef& type);

/// How a column takes part in a normalised key (storage.md §1.5).
struct KeyPart {
  TypeRef type;
  bool descending = false;
  bool nulls_first = false;
};
/// Appends the memcmp-ordered form: null marker, then the value. Used by indexes, sorts and merges.
void append_key(const Datum& value, bool is_null, const KeyPart& part, Bytes& out);
/// Reads one part back; false where the form can't give the value back (numeric, interval, bpchar, ICU text).
bool decode_key(ByteReader& in, const KeyPart& part, Arena& arena, Datum* value, bool* is_null);

/// Stored form of variable-length values (kStr: the bytes; kNumeric: storage.md §1.4). Fixed ones are their
/// bytes.
void append_stored(const Datum& value, Phys phys, Bytes& out);
/// The datum may point into `stored`.
Datum load_stored(ByteSpan stored, Phys phys, Arena& arena);

}  // namespace rustbd::types
