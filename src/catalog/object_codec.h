// The stored form of catalog objects: a version byte, then fields in a fixed order, as the value of one row.
#pragma once

#include "rustbd/base/bytes.h"
#include "rustbd/catalog/objects.h"

namespace rustbd::catalog {

void encode(const Relation& object, Bytes& out);
void encode(const Schema& object, Bytes& out);
void encode(const EnumType& object, Bytes& out);
void encode(const Role& object, Bytes& out);
/// `columns` gives the types of the datums.
void encode(const TableStatistics& object, const Relation& relation, Bytes& out);

/// False: damaged, or of a newer format. Relation: without layout, statistics and referenced_by.
bool decode(ByteSpan in, Relation* out);
bool decode(ByteSpan in, Schema* out);
bool decode(ByteSpan in, EnumType* out);
bool decode(ByteSpan in, Role* out);
bool decode(ByteSpan in, const Relation& relation, TableStatistics* out);

}  // namespace rustbd::catalog
