// A page: the unit of the buffer manager. Its kinds, its 32-byte header, its size classes (docs: storage.md
// §1.2-1.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rustbd/base/ids.h"

namespace rustbd::storage {

inline constexpr std::size_t kBlockBytes = 4096;       // unit of disk space
inline constexpr std::size_t kFrameBytes = 16384;      // class 0 in the pool and, uncompressed, on disk
inline constexpr std::size_t kExtentHeaderBytes = 72;  // in front of every page image on disk
inline constexpr std::size_t kPageHeaderBytes = 32;
inline constexpr std::uint8_t kPageClassMax = 6;

/// Size class: a page of class k occupies 16 KiB << k in the pool. Only class 0 is allocated so far.
using PageClass = std::uint8_t;

/// Bytes that a page layout may use: the image with its extent header fits the frame's blocks uncompressed.
constexpr std::size_t page_bytes(PageClass page_class) {
  return (kFrameBytes << page_class) - kExtentHeaderBytes;
}
inline constexpr std::size_t kPageBytes = page_bytes(0);  // 16312
constexpr std::uint32_t page_blocks(PageClass page_class) { return 4u << page_class; }

enum class PageKind : std::uint8_t {
  kNone = 0,
  kTableInner = 1,
  kTableLeaf = 2,
  kIndexInner = 3,
  kIndexLeaf = 4,
  kOverflow = 5,
  kColumnChunk = 6,
  kDeleteBitmap = 7,
  kSegmentInner = 8,
  kSegmentLeaf = 9,
  kCatalogRoot = 10,
  kTemp = 11,  // undo payloads; never part of a checkpoint, gone at restart
};
inline constexpr std::uint8_t kPageKindMax = 11;

/// First bytes of every page, in memory and in the image. Fields of `PageHeader` are changed as all bytes of
/// a page: under the exclusive latch, after mark_dirty(). `flags` belongs to the kind (e.g. "dead" of a
/// leaf).
struct PageHeader {
  std::uint64_t page_id;
  PageKind kind;
  std::uint8_t flags;
  std::uint16_t level;          // 0 at the leaves
  std::uint32_t owner;          // table or index id
  std::uint64_t right_sibling;  // page id; 0: none
  std::uint32_t count;          // meaning by kind
  std::uint32_t schema_version;
};
static_assert(sizeof(PageHeader) == kPageHeaderBytes);
static_assert(offsetof(PageHeader, kind) == 8 && offsetof(PageHeader, flags) == 9);
static_assert(offsetof(PageHeader, level) == 10 && offsetof(PageHeader, owner) == 12);
static_assert(offsetof(PageHeader, right_sibling) == 16 && offsetof(PageHeader, count) == 24);
static_assert(offsetof(PageHeader, schema_version) == 28);

inline constexpr PageId kCatalogRootPage{1};

}  // namespace rustbd::storage
