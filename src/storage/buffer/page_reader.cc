// Reading a page that is not resident: one read per page at a time, into a frame that nobody else sees yet.
#include <cstring>

#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/extent_image.h"

namespace rustbd::storage {
namespace {
constexpr unsigned kReadRetries = 1;
constexpr std::int64_t kRefusalUs = 1'000'000;
}  // namespace

/// Owned by its completion. The page's latch is kLoading from before it exists until after finish_read().
struct BufferManager::ReadOperation {
  std::uint64_t page;
  PageEntry* entry;
  std::uint64_t version;
  std::uint32_t frame;
  Extent extent;
  std::uint64_t checksum;
  unsigned attempts = 0;
  std::int64_t began = 0;  // DataFile::now_us()
  io::IoRequest request;
  io::WaitToken done;  // what those wait for that need the page
};

io::WaitToken BufferManager::token_of_read(std::uint64_t id) {
  InFlight& shard = in_flight_[id % kInFlightShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.reads.find(id);
  return found == shard.reads.end() ? io::WaitToken{} : found->second;
}

// The read that somebody waited for did not come about, for want of memory in the kernel: told once, the next
// one tries again, and not to those who come much later.
bool BufferManager::take_refusal(std::uint64_t id) {
  if (refused_reads_.load(std::memory_order_acquire) == 0) return false;
  InFlight& shard = in_flight_[id % kInFlightShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.refused.find(id);
  if (found == shard.refused.end()) return false;
  const bool lately = file_.now_us() - found->second <= kRefusalUs;
  shard.refused.erase(found);
  refused_reads_.fetch_sub(1, std::memory_order_relaxed);
  return lately;
}

// `word` says kEvicted. kBusy: the state has changed meanwhile, look again.
BufferManager::Outcome BufferManager::read_page(std::uint64_t id, PageEntry& entry, std::uint64_t word) {
  constexpr std::uint8_t kUnreadable = PageEntry::kFreePage | PageEntry::kBad;
  if (entry.has(kUnreadable)) return {FixStatus::kDamaged, {}};
  if (stopping_.load(std::memory_order_acquire) || take_refusal(id)) return {FixStatus::kNoFrame, {}};
  const std::uint64_t version = LatchWord::version(word);
  if (!entry.state.compare_exchange_strong(word, LatchWord::make(LatchWord::kLoading, version),
                                           std::memory_order_acq_rel)) {
    return {FixStatus::kBusy, {}};
  }
  // The entry's persisted fields are ours now. It may have been freed between the two looks.
  io::WaitToken frame_wait;
  const bool readable = !entry.has(kUnreadable) && entry.extent != 0 && entry.page_class() == 0 &&
                        Extent::unpack(entry.extent).bytes() <= kFrameBytes;
  const std::uint32_t frame = readable ? take_frame(frame_wait) : kNoFrameIndex;
  if (frame == kNoFrameIndex) {
    entry.state.store(LatchWord::make(LatchWord::kEvicted, version), std::memory_order_release);
    if (!readable) return {FixStatus::kDamaged, {}};
    const FixStatus status = frame_wait ? FixStatus::kMiss : FixStatus::kNoFrame;
    return {status, std::move(frame_wait)};
  }
  auto read = std::make_shared<ReadOperation>();
  read->page = id;
  read->entry = &entry;
  read->version = version;
  read->frame = frame;
  read->extent = Extent::unpack(entry.extent);
  read->checksum = entry.checksum;
  read->done = io::WaitToken::make(io::WaitReason::kPage);
  const io::WaitToken done = read->done;
  {
    InFlight& shard = in_flight_[id % kInFlightShards];
    const std::lock_guard lock(shard.mutex);
    shard.reads[id] = done;
  }
  misses_.fetch_add(1, std::memory_order_relaxed);
  submit_read(read);
  return {FixStatus::kMiss, done, true};
}

void BufferManager::submit_read(const std::shared_ptr<ReadOperation>& read) {
  ++read->attempts;
  read->began = file_.now_us();
  read->request.status = {};
  read->request.done = io::WaitToken::make(io::WaitReason::kPage);
  const io::WaitToken completed = read->request.done;
  file_.read_async(read->extent.offset(), {frames_.memory(read->frame), read->extent.bytes()},
                   &read->request);
  completed.then(environment_.executor->workers(), [this, read] { finish_read(read); });
}

void BufferManager::finish_read(const std::shared_ptr<ReadOperation>& read) {
  std::byte* memory = frames_.memory(read->frame);
  const bool arrived = read->request.status.has_value();
  file_.note_time(&IoTimes::read, read->began);
  const ImageProblem problem =
      arrived ? decode_page_image(PageId{read->page}, 0, read->checksum, {memory, read->extent.bytes()},
                                  {memory, kPageBytes}, keys_)
              : ImageProblem::kNone;
  if (!arrived || problem != ImageProblem::kNone) {
    if (read->attempts <= kReadRetries) {
      submit_read(read);
      return;
    }
    if (!arrived && read->request.status.error() == io::IoFailure::kNoResources) {
      InFlight& shard = in_flight_[read->page % kInFlightShards];
      const std::lock_guard lock(shard.mutex);
      if (shard.refused.insert_or_assign(read->page, file_.now_us()).second)
        refused_reads_.fetch_add(1, std::memory_order_release);
    } else {
      checksum_failures_.fetch_add(1, std::memory_order_relaxed);
      if (!arrived) {
        const std::lock_guard lock(unread_mutex_);
        unread_.insert(read->page);
      }
      read->entry->set(PageEntry::kBad);
    }
    read->entry->state.store(LatchWord::make(LatchWord::kEvicted, read->version + 1),
                             std::memory_order_release);
    give_frame(read->frame);
    end_read(*read);
    return;
  }
  FrameMeta& meta = frames_.meta(read->frame);
  meta.dirty_epoch.store(0, std::memory_order_relaxed);
  meta.seen_dirty.store(0, std::memory_order_relaxed);
  note_access(read->frame);
  meta.page.store(read->page, std::memory_order_release);
  read->entry->frame.store(read->frame, std::memory_order_release);
  read->entry->state.store(LatchWord::make(LatchWord::kFree, read->version + 1), std::memory_order_release);
  end_read(*read);
}

// The last thing that a read does with this object: stop() waits for the map to be empty.
void BufferManager::end_read(const ReadOperation& read) {
  const io::WaitToken done = read.done;
  {
    InFlight& shard = in_flight_[read.page % kInFlightShards];
    const std::lock_guard lock(shard.mutex);
    shard.reads.erase(read.page);
  }
  done.fire();
}

}  // namespace rustbd::storage
