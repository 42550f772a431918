#include "rustbd/storage/pages/resealer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "rustbd/base/error.h"

namespace rustbd::storage {
namespace {
constexpr std::uint64_t kPauseBytes = 256 << 10;  // sealed between two pauses
constexpr std::chrono::seconds kNoRoomPause{1};
}  // namespace

Resealer::Resealer(Parts parts, std::uint64_t bytes_per_second)
    : parts_(std::move(parts)), bytes_per_second_(std::max<std::uint64_t>(bytes_per_second, kFrameBytes)) {}

Resealer::~Resealer() { stop(); }

void Resealer::start() {
  const std::uint64_t found = stale_pages().size();
  pages_.store(found, std::memory_order_relaxed);
  left_.store(found, std::memory_order_relaxed);
  unsealed_.store(has_unsealed(), std::memory_order_relaxed);
  thread_ = parts_.environment.executor->start_background("resealer", [this] { run(); });
}

void Resealer::stop() {
  if (!thread_) return;
  stopping_.store(true, std::memory_order_seq_cst);
  wake();
  thread_->join();
  thread_.reset();
}

void Resealer::keys_retire() {
  rotations_.fetch_add(1, std::memory_order_seq_cst);
  wake();
}

void Resealer::wake() {
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
    wake = std::exchange(wake_, {});
  }
  wake.fire();
}

Resealer::Progress Resealer::progress() const {
  const bool counted = counted_.load(std::memory_order_acquire) == rotations_.load(std::memory_order_seq_cst);
  return {pages_.load(std::memory_order_relaxed), left_.load(std::memory_order_relaxed), counted,
          unsealed_.load(std::memory_order_relaxed)};
}

std::vector<std::uint64_t> Resealer::stale_pages() const {
  return parts_.ledger->images_sealed([this](std::uint16_t key_index) { return stale(key_index); });
}

bool Resealer::has_unsealed() const {
  return !parts_.ledger->images_sealed([](std::uint16_t key_index) { return key_index == 0; }, 1).empty();
}

bool Resealer::stale(std::uint16_t key_index) const {
  return key_index == 0 || parts_.keys->retires(key_index);
}

void Resealer::wait_for_work() {
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(wanted_, false)) return;
    wake = wake_ = io::WaitToken::make(io::WaitReason::kTask);
  }
  parts_.environment.executor->block_on(wake);
}

void Resealer::run() {
  while (!stopping_.load(std::memory_order_seq_cst)) {
    wait_for_work();
    if (!stopping_.load(std::memory_order_seq_cst) && round() > 0) parts_.request_checkpoint();
  }
}

std::uint64_t Resealer::round() {
  const std::uint64_t rotation = rotations_.load(std::memory_order_seq_cst);
  const std::vector<std::uint64_t> pages = stale_pages();
  pages_.store(pages.size(), std::memory_order_relaxed);
  left_.store(pages.size(), std::memory_order_relaxed);
  counted_.store(rotation, std::memory_order_release);
  std::uint64_t marked = 0, since_pause = 0;
  io::Executor& executor = *parts_.environment.executor;
  for (const std::uint64_t page : pages) {
    while (parts_.buffer->admit_write() != WriteAdmission::kOk &&
           !stopping_.load(std::memory_order_relaxed)) {
      executor.block_on(executor.after(kNoRoomPause));
    }
    if (stopping_.load(std::memory_order_relaxed)) break;
    if (parts_.buffer->renew_image(PageId{page})) ++marked;
    left_.fetch_sub(1, std::memory_order_relaxed);
    since_pause += kFrameBytes;
    if (since_pause < kPauseBytes) continue;
    pause(std::chrono::microseconds(since_pause * 1'000'000 / bytes_per_second_));
    since_pause = 0;
  }
  return marked;
}

// wake() ends it.
void Resealer::pause(std::chrono::microseconds span) {
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_.load(std::memory_order_seq_cst)) return;
    wake = wake_ = io::WaitToken::make(io::WaitReason::kTask);
  }
  parts_.environment.executor->block_on(wake, span);
}

void Resealer::checkpoint_done(Lsn log_kept) {
  if (!std::exchange(recovered_, true)) wake();
  const std::vector<security::KeyInfo> keys = parts_.keys->keys();
  // What is found unsealed no more, or unused, for the first time is so on disk with the next checkpoint.
  bool again = false, stale_left = false;
  if (unsealed_.load(std::memory_order_relaxed)) {
    stale_left = has_unsealed();
    if (!stale_left && all_sealed_) unsealed_.store(false, std::memory_order_relaxed);
    else again = all_sealed_ = !stale_left;
  }
  std::vector<std::uint32_t> unused;
  for (const security::KeyInfo& info : keys) {
    const security::DataKey* key = parts_.keys->find(info.id);
    // Uses before entries: what was on its way and has arrived is found in its entry.
    if (info.current || key->in_use() || parts_.keys->log_end(*key) > log_kept) continue;
    const auto has_it = [key](std::uint16_t index) { return index == key->index(); };
    if (parts_.ledger->images_sealed(has_it, 1).empty()) unused.push_back(info.id);
  }
  std::vector<std::uint32_t> going;
  std::ranges::set_intersection(unused, unused_, std::back_inserter(going));
  try {
    if (!going.empty()) {
      parts_.keys->destroy(going);
      parts_.log(fmt::format("{} encryption key{} destroyed: nothing is sealed with {} any more",
                             going.size(), going.size() == 1 ? "" : "s", going.size() == 1 ? "it" : "them"));
    }
  } catch (const Error& e) {
    parts_.log.warning("an encryption key could not be destroyed: " + e.message);
    going.clear();
  }
  for (const security::KeyInfo& info : keys) {
    if (info.state != security::KeyState::kRetiring) continue;
    const bool free = std::ranges::binary_search(unused, info.id);
    again |= free && !std::ranges::binary_search(unused_, info.id);
    stale_left |= !free;
  }
  std::erase_if(unused, [&](std::uint32_t id) { return std::ranges::binary_search(going, id); });
  unused_ = std::move(unused);
  if (again) parts_.request_checkpoint();
  else if (stale_left && left_.load(std::memory_order_relaxed) == 0) wake();
}

}  // namespace rustbd::storage
