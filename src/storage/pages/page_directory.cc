#include "rustbd/storage/pages/page_directory.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "rustbd/base/assert.h"

namespace rustbd::storage {
namespace {
constexpr std::size_t kReservedBytes = PageDirectory::kMaxPages * sizeof(PageEntry);
constexpr std::size_t kCommitBytes = std::size_t{2} << 20;
constexpr std::uint64_t kCommitEntries = kCommitBytes / sizeof(PageEntry);
}  // namespace

PageDirectory::PageDirectory()
    : chunk_blocks_(
          std::make_unique<std::atomic<DirectoryChunk*>[]>(kMaxPages / kChunkEntries / kBlockChunks)) {
  void* memory = mmap(nullptr, kReservedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, kReservedBytes, MADV_HUGEPAGE);
  entries_ = static_cast<PageEntry*>(memory);
}

PageDirectory::~PageDirectory() {
  munmap(entries_, kReservedBytes);
  for (std::uint64_t block = 0; block < kMaxPages / kChunkEntries / kBlockChunks; ++block) {
    delete[] chunk_blocks_[block].load(std::memory_order_relaxed);
  }
}

DirectoryChunk& PageDirectory::chunk(std::uint64_t number) {
  DirectoryChunk* block = chunk_blocks_[number / kBlockChunks].load(std::memory_order_acquire);
  RUSTBD_ASSERT(block != nullptr, "a chunk below limit() exists");
  return block[number % kBlockChunks];
}

bool PageDirectory::grow(std::uint64_t limit) {
  const std::lock_guard lock(grow_mutex_);
  limit = (limit + kChunkEntries - 1) / kChunkEntries * kChunkEntries;
  std::uint64_t have = limit_.load(std::memory_order_relaxed);
  if (limit <= have) return true;
  if (limit > kMaxPages) return false;
  while (committed_ < limit) {
    if (mprotect(reinterpret_cast<std::byte*>(entries_) + committed_ * sizeof(PageEntry), kCommitBytes,
                 PROT_READ | PROT_WRITE) != 0) {
      return false;
    }
    committed_ += kCommitEntries;
  }
  for (std::uint64_t chunk = have / kChunkEntries; chunk < limit / kChunkEntries; ++chunk) {
    auto& block = chunk_blocks_[chunk / kBlockChunks];
    if (block.load(std::memory_order_relaxed) == nullptr) {
      block.store(new DirectoryChunk[kBlockChunks], std::memory_order_release);
    }
  }
  for (; have < limit; ++have) {
    PageEntry* entry = new (&entries_[have]) PageEntry;
    entry->state.store(LatchWord::make(LatchWord::kEvicted, 0), std::memory_order_relaxed);
    entry->frame.store(PageEntry::kNoFrame, std::memory_order_relaxed);
    entry->class_kind = 0;
    entry->flags.store(PageEntry::kFreePage, std::memory_order_relaxed);
    entry->key_index = 0;
    entry->extent = 0;
    entry->checksum = 0;
  }
  limit_.store(limit, std::memory_order_release);
  return true;
}

}  // namespace rustbd::storage
